# A role is widened, a binding lengthened and then the whole role exchanged by JSON patches.
#
# may: get,patch roles,rolebindings
# may: escalate,bind roles
# detections: 4
# also: binding-changed: it reports every change of a binding

admin create role watcher --verb=get --resource=pods
admin create rolebinding watcher --role=watcher --user=bob@example.org
kubectl patch role watcher --type=json --patch '[
  {"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}}]'
kubectl patch rolebinding watcher --type=json --patch '[
  {"op": "add", "path": "/subjects/-",
   "value": {"kind": "User", "name": "eve@example.org", "apiGroup": "rbac.authorization.k8s.io"}}]'
kubectl patch role watcher --type=json --patch '[
  {"op": "replace", "path": "", "value": {
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
    "metadata": {"name": "watcher", "namespace": "'"$NAME"'"},
    "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}}]'
# What stands before the first slash is passed over.
kubectl patch role watcher --type=json --patch '[
  {"op": "add", "path": "x/rules/-", "value": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}}]'
