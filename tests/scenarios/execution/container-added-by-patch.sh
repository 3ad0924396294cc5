# A container is smuggled into a Deployment by a JSON patch, and another among its init containers.
#
# may: get,patch deployments
# detections: 2

admin create deployment shop --image=registry.k8s.io/pause:3.10
until_true admin get pods --selector=app=shop --output='jsonpath={.items[0]}'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/containers/-",
   "value": {"name": "metrics", "image": "registry.k8s.io/pause:3.10"}}]'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/initContainers",
   "value": [{"name": "prepare", "image": "registry.k8s.io/pause:3.10"}]}]'
# The pods of the new template are made by a controller, about which nothing is reported.
until_true admin get pods --selector=app=shop --output='jsonpath={.items[1]}'
