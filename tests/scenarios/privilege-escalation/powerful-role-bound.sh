# Somebody may edit all namespaces, and has the rights of a controller in one.
#
# may: create clusterrolebindings,rolebindings
# may: bind clusterroles
# detections: 2
# also: binding-changed: it reports every binding

kubectl create clusterrolebinding "$NAME" --clusterrole=edit --user=bob@example.org
kubectl create rolebinding controls --clusterrole=system:controller:job-controller --user=bob@example.org
