# A namespace is made and deleted.
#
# may: create,delete namespaces
# detections: 2

kubectl create namespace "$NAME-new"
kubectl delete namespace "$NAME-new" --wait=false
