# Somebody uses a kubelet's certificate with curl.
#
# actor: system:node:node-identity-other-client
# group: system:nodes
# also: request-refused: a node may not read what no pod on it uses

fails api /api/v1/namespaces/kube-system/secrets/any
