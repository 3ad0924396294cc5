# A token of a controller of the cluster is asked for.
#
# may: create serviceaccounts/token

kubectl --namespace=kube-system create token clusterrole-aggregation-controller
