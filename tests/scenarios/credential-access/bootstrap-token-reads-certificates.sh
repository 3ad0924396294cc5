# A bootstrap token, which is there for a node to ask for its first certificate, is used to look at those of others.
#
# actor: system:bootstrap:joiner
# may: get,list certificatesigningrequests

admin create --namespace=kube-system secret generic bootstrap-token-joiner --type=bootstrap.kubernetes.io/token \
  --from-literal=token-id=joiner --from-literal=token-secret=0123456789abcdef \
  --from-literal=usage-bootstrap-authentication=true
TOKEN=joiner.0123456789abcdef
until_true api_by_token /apis/certificates.k8s.io/v1/certificatesigningrequests
