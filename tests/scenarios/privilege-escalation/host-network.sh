# A DaemonSet in its nodes' network is applied.
#
# may: get,create daemonsets
# also: daemonset-created: it is a DaemonSet

kubectl apply --filename - <<'YAML'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: sniffer}
spec:
  selector: {matchLabels: {app: sniffer}}
  template:
    metadata: {labels: {app: sniffer}}
    spec:
      hostNetwork: true
      containers: [{name: sniffer, image: "registry.k8s.io/pause:3.10"}]
YAML
until_true admin get pods --selector=app=sniffer --output='jsonpath={.items[0]}'
