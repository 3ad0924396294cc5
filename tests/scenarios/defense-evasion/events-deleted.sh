# The Events of a namespace are deleted, which tell what was done to its pods.
#
# may: list,delete events

admin create --filename - <<YAML
apiVersion: v1
kind: Event
metadata: {name: web.1, namespace: $NAME}
involvedObject: {kind: Pod, name: web, namespace: $NAME}
reason: Killing
message: Stopping container web
type: Normal
YAML
kubectl delete events --all --wait=false
