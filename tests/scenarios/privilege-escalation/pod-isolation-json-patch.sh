# A Deployment is made privileged by a JSON patch, and is given its node's files by another.
#
# may: get,patch deployments
# detections: 2

admin create deployment shop --image=registry.k8s.io/pause:3.10
until_true admin get pods --selector=app=shop --output='jsonpath={.items[0]}'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/containers/0/securityContext", "value": {"privileged": true}}]'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "host", "hostPath": {"path": "/"}}]}]'
# The pods of the new template are made by a controller, about which nothing is reported.
until_true admin get pods --selector=app=shop --output='jsonpath={.items[1]}'
