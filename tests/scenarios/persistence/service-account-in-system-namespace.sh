# A service account is created among those of the cluster's own parts.
#
# may: create serviceaccounts
# also: service-account-created: it reports those of all namespaces

kubectl create serviceaccount pod-cleaner --namespace=kube-system
