# A kubelet joins its node, renews its lease, reports a static pod, and starts a pod with its token and its Secret.
#
# actor: system:node:kubelet-at-work
# group: system:nodes

kubelet() { api "$@" --user-agent 'kubelet/v1.37.2 (linux/amd64) kubernetes/0000000'; }

kubelet /api/v1/nodes --json '{"metadata": {"name": "kubelet-at-work"}}' >node.json
kubelet /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases \
  --json '{"metadata": {"name": "kubelet-at-work"}, "spec": {"holderIdentity": "kubelet-at-work"}}'
kubelet /api/v1/nodes/kubelet-at-work/status --request PATCH --header 'Content-Type: application/merge-patch+json' \
  --data '{"status": {"phase": "Running"}}'
admin label namespace kube-system --overwrite pod-security.kubernetes.io/enforce=privileged
kubelet /api/v1/namespaces/kube-system/pods --json '{
  "metadata": {"name": "etcd-kubelet-at-work", "annotations": {"kubernetes.io/config.mirror": "1", "kubernetes.io/config.hash": "1"},
    "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "kubelet-at-work", "controller": true, "uid": "'"$(jq --raw-output .metadata.uid node.json)"'"}]},
  "spec": {"nodeName": "kubelet-at-work", "hostNetwork": true, "volumes": [{"name": "data", "hostPath": {"path": "/var/lib/etcd"}}],
    "containers": [{"name": "etcd", "image": "registry.k8s.io/etcd:3.6.4", "volumeMounts": [{"name": "data", "mountPath": "/var/lib/etcd"}]}]}}'
admin create secret generic db --from-literal=user=shop
admin create --filename - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  nodeName: kubelet-at-work
  volumes: [{name: db, secret: {secretName: db}}]
  containers: [{name: shop, image: "registry.k8s.io/pause:3.10"}]
YAML
until_true kubelet "/api/v1/namespaces/$NAME/secrets/db"
kubelet "/api/v1/namespaces/$NAME/serviceaccounts/default/token" --json '{"spec": {"expirationSeconds": 3607,
  "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "shop", "uid": "'"$(admin get pod shop --output='jsonpath={.metadata.uid}')"'"}}}'
kubelet "/api/v1/namespaces/$NAME/pods/shop" --request DELETE --json '{"gracePeriodSeconds": 0}'
