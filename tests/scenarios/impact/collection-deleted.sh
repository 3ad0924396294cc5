# All ConfigMaps of a namespace and all pods are deleted by one request each.
#
# may: deletecollection configmaps,pods
# detections: 2

kubectl delete --raw "/api/v1/namespaces/$NAME/configmaps"
kubectl delete --raw "/api/v1/namespaces/$NAME/pods"
