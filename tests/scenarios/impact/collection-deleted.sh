# All ConfigMaps of a namespace are deleted by one request.
#
# may: deletecollection configmaps

kubectl delete --raw "/api/v1/namespaces/$NAME/configmaps"
