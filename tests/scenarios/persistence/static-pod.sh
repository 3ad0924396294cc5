# A kubelet shows a pod that somebody laid into its folder of manifests.
#
# actor: system:node:static-pod
# group: system:nodes

admin create --filename - <<'YAML'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "static-pod"}}
YAML
uid=$(admin get node static-pod --output='jsonpath={.metadata.uid}')
api "/api/v1/namespaces/$NAME/pods" --user-agent 'kubelet/v1.37.2 (linux/amd64) kubernetes/93248f9' --json '{
  "apiVersion": "v1", "kind": "Pod",
  "metadata": {
    "name": "agent-static-pod",
    "annotations": {"kubernetes.io/config.mirror": "0b1f", "kubernetes.io/config.source": "file"},
    "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "static-pod", "uid": "'"$uid"'", "controller": true}]},
  "spec": {"nodeName": "static-pod", "containers": [{"name": "agent", "image": "registry.k8s.io/pause:3.10"}]}}'
