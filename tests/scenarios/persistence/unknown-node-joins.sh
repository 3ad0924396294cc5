# A machine that nobody knows registers itself as a node.
#
# actor: system:node:unknown-node-joins
# group: system:nodes

api /api/v1/nodes --user-agent 'kubelet/v1.37.2 (linux/amd64) kubernetes/93248f9' --json '{
  "apiVersion": "v1", "kind": "Node",
  "metadata": {"name": "unknown-node-joins", "labels": {"kubernetes.io/os": "linux"}}, "spec": {"unschedulable": true}}'
