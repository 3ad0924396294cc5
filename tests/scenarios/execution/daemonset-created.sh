# Somebody applies a DaemonSet, which runs on every node.
#
# may: get,create,patch daemonsets

kubectl apply --server-side --filename - <<'YAML'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: agent, image: "registry.k8s.io/pause:3.10"}]
YAML
until_true admin get pods --selector=app=agent --output='jsonpath={.items[0]}'
