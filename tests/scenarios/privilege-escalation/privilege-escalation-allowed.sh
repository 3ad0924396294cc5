# A ReplicationController is created, and patched, whose container may become root by a setuid program.
#
# may: create,get,patch replicationcontrollers
# detections: 2

kubectl create --filename - <<'YAML'
apiVersion: v1
kind: ReplicationController
metadata: {name: legacy}
spec:
  replicas: 1
  selector: {app: legacy}
  template:
    metadata: {labels: {app: legacy}}
    spec:
      containers:
        - {name: legacy, image: "registry.k8s.io/pause:3.10", securityContext: {allowPrivilegeEscalation: true}}
YAML
until_true admin get pods --selector=app=legacy --output='jsonpath={.items[0]}'
kubectl patch replicationcontroller legacy --type=json --patch '[
  {"op": "replace", "path": "/spec/template/spec/containers/0/securityContext",
   "value": {"privileged": false, "allowPrivilegeEscalation": true}}]'
