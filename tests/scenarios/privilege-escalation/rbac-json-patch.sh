# A role is widened and a binding lengthened by JSON patches.
#
# may: get,patch roles,rolebindings
# may: escalate,bind roles
# detections: 2
# also: binding-changed: it reports every change of a binding

admin create role watcher --verb=get --resource=pods
admin create rolebinding watcher --role=watcher --user=bob@example.org
kubectl patch role watcher --type=json --patch '[
  {"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}}]'
kubectl patch rolebinding watcher --type=json --patch '[
  {"op": "add", "path": "/subjects/-",
   "value": {"kind": "User", "name": "eve@example.org", "apiGroup": "rbac.authorization.k8s.io"}}]'
