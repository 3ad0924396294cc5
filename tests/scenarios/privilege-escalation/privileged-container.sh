# A Deployment with a privileged container is applied, another's are made so, and an ephemeral one added.
#
# may: get,create,patch deployments
# may: get pods
# may: patch pods/ephemeralcontainers
# detections: 4
# also: pod-isolation-json-patch: one of the patches is a JSON patch
# also: ephemeral-container-added: the last one is ephemeral

kubectl apply --filename - <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
        - name: agent
          image: registry.k8s.io/pause:3.10
          securityContext: {privileged: true}
YAML
# What the controllers make of it is told as well, as little as it is theirs.
until_true admin get pods --selector=app=agent --output='jsonpath={.items[0]}'

admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl patch deployment shop --patch '
spec:
  template:
    spec:
      initContainers:
        - {name: tune, image: "registry.k8s.io/pause:3.10", securityContext: {privileged: true}}'
kubectl debug web --image=registry.k8s.io/pause:3.10 --profile=sysadmin
kubectl patch deployment shop --type=json --patch '[{"op": "add",
  "path": "x/spec/template/spec/containers/0/securityContext", "value": {"privileged": true}}]'
