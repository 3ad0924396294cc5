# Somebody with a kubelet's certificate runs a command in a pod.
#
# actor: system:node:exec-by-node
# group: system:nodes
# may: get pods
# may: create,get pods/exec
# also: exec-into-pod: it reports sessions of anybody
# also: node-identity-other-client: kubectl is no kubelet

fails kubectl exec web -- id
