# A StatefulSet with an init container that runs as root is applied, a pod that does is run, and the StatefulSet patched to.
#
# may: get,create,patch statefulsets
# may: create pods
# detections: 3

kubectl apply --server-side --filename - <<'YAML'
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      securityContext: {runAsUser: 1000}
      initContainers:
        - {name: chown, image: "registry.k8s.io/pause:3.10", securityContext: {runAsUser: 0}}
      containers: [{name: db, image: "registry.k8s.io/pause:3.10"}]
YAML
until_true admin get pod db-0
kubectl run tools --image=registry.k8s.io/pause:3.10 --overrides='{"spec": {"securityContext": {"runAsUser": 0}}}'
kubectl patch statefulset db --type=json --patch '[
  {"op": "replace", "path": "/spec/template/spec/securityContext/runAsUser", "value": 0}]'
