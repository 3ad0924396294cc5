# A Service opens a port on every node: a new one, and one that did not, by each kind of patch.
#
# may: create,get,patch services
# detections: 7

kubectl create service nodeport web --tcp=80
admin create service clusterip shop --tcp=80
kubectl patch service shop --type=merge --patch '{"spec": {"type": "NodePort"}}'
# Each makes it one again.
again() {
  admin patch service shop --type=merge --patch '{"spec": {"type": "ClusterIP"}}'
  kubectl patch service shop "$@"
}
again --type=strategic --patch '{"spec": {"type": "NodePort"}}'
again --type=json --patch '[{"op": "replace", "path": "/spec/type", "value": "NodePort"}]'
again --type=json --patch '[{"op": "replace", "path": "anything/spec/type", "value": "NodePort"}]'
again --type=json --patch '[
  {"op": "add", "path": "/metadata/annotations", "value": {"kind": "NodePort"}},
  {"op": "copy", "from": "/metadata/annotations/kind", "path": "/spec/type"}]'
again --type=json --patch '[{"op": "replace", "path": "", "value": {"apiVersion": "v1", "kind": "Service",
  "metadata": {"name": "shop", "labels": {"app": "shop"}}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}}]'
# It is one now, and that is not what this changes.
kubectl patch service shop --type=json --patch '[{"op": "add", "path": "/metadata/labels/team", "value": "shop"}]'
