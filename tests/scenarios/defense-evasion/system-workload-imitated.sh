# A pod bears the name of a part of the cluster, and a DaemonSet that is applied by the server.
#
# may: create pods
# may: create,patch daemonsets
# also: daemonset-created: it reports every one
# detections: 2

kubectl run kube-proxy-x7z2p --image=registry.k8s.io/pause:3.10
kubectl apply --server-side --filename - <<'YAML'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node}
spec:
  selector: {matchLabels: {app: node}}
  template:
    metadata: {labels: {app: node}}
    spec: {containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]}
YAML
