# The Events of a namespace are deleted, which tell what was done to its pods: one by one, and all at once.
#
# may: list,delete,deletecollection events
# detections: 3

admin create --filename - <<YAML
apiVersion: v1
kind: Event
metadata: {name: web.1, namespace: $NAME}
involvedObject: {kind: Pod, name: web, namespace: $NAME}
reason: Killing
message: Stopping container web
type: Normal
YAML
kubectl delete event web.1 --wait=false
kubectl delete --raw "/api/v1/namespaces/$NAME/events"
kubectl delete --raw "/apis/events.k8s.io/v1/namespaces/$NAME/events"
