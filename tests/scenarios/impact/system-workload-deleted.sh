# A workload of the cluster's own is deleted.
#
# may: delete daemonsets
# also: workload-deleted: it reports every deletion of one

admin create --filename - <<'YAML'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-logs, namespace: kube-system}
spec:
  selector: {matchLabels: {app: node-logs}}
  template:
    metadata: {labels: {app: node-logs}}
    spec: {containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]}
YAML
kubectl --namespace=kube-system delete daemonset node-logs --wait=false
