# A namespace is made and deleted.
#
# may: create,delete namespaces

kubectl create namespace "$NAME-new"
kubectl delete namespace "$NAME-new" --wait=false
