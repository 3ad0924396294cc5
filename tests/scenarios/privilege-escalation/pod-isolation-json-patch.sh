# A Deployment is made privileged by a JSON patch, given its node's files, its processes, and exchanged as a whole.
#
# may: get,patch deployments
# detections: 5
# also: host-network: at this level the answer shows what came of the patch
# also: host-path: at this level the answer shows what came of the patch
# also: host-processes: at this level the answer shows what came of the patch
# also: privileged-container: at this level the answer shows what came of the patch
# also: sensitive-host-path: at this level the answer shows what came of the patch
# also: unconfined-container: at this level the answer shows what came of the patch

admin create deployment shop --image=registry.k8s.io/pause:3.10
until_true admin get pods --selector=app=shop --output='jsonpath={.items[0]}'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/containers/0/securityContext", "value": {"privileged": true}}]'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "host", "hostPath": {"path": "/"}}]}]'
# The pods of the new template are made by a controller, about which nothing is reported.
until_true admin get pods --selector=app=shop --output='jsonpath={.items[1]}'
# The more is exchanged at once, the less of it stands in the path.
containers='"containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}]'
kubectl patch deployment shop --type=json --patch '[
  {"op": "replace", "path": "/spec/template/spec", "value": {"hostPID": true, '"$containers"'}}]'
kubectl patch deployment shop --type=json --patch '[
  {"op": "replace", "path": "", "value": {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "namespace": "'"$NAME"'"},
    "spec": {
      "selector": {"matchLabels": {"app": "shop"}},
      "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"hostNetwork": true, '"$containers"'}}}}}]'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/securityContext", "value": {"seccompProfile": {"type": "Unconfined"}}}]'
