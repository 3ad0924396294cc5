# Somebody lets a colleague view a namespace, and takes that back.
#
# may: create,get,list,watch,delete rolebindings
# may: bind clusterroles
# detections: 2

kubectl create rolebinding viewers --clusterrole=view --user=bob@example.org
kubectl delete rolebinding viewers
