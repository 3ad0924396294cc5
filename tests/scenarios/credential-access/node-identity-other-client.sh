# Somebody uses a kubelet's certificate with curl and with kubectl.
#
# actor: system:node:node-identity-other-client
# group: system:nodes
# detections: 2
# also: request-refused: a node may not read what no pod on it uses

fails api /api/v1/namespaces/kube-system/secrets/any
fails kubectl get --raw /api/v1/namespaces/kube-system/secrets/any
