# Somebody uses a kubelet's certificate with curl.
#
# actor: system:node:node-identity-other-client
# group: system:nodes
# also: request-refused: what the node may not is refused

fails api "/api/v1/namespaces/kube-system/secrets/any"
