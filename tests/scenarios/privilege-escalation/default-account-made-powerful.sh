# All pods of a namespace that have no account of their own may edit it, and then all that have one.
#
# may: create rolebindings
# may: bind clusterroles
# detections: 2
# also: binding-changed: it reports every binding
# also: service-account-bound: the first is granted to a service account

kubectl create rolebinding default-edits --clusterrole=edit --serviceaccount="$NAME:default"
kubectl create rolebinding all-administer --clusterrole=admin --group="system:serviceaccounts:$NAME"
