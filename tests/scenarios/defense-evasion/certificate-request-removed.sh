# Somebody fails to approve a certificate request, and deletes it.
#
# may: get,delete certificatesigningrequests
# may: update certificatesigningrequests/approval
# detections: 2
# also: request-refused: only who may use the signer may approve

openssl req -new -newkey rsa:2048 -nodes -keyout key.pem -subj /CN=me -out request.pem 2>/dev/null
admin create --filename - <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $NAME}
spec:
  request: $(base64 --wrap=0 request.pem)
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
YAML
fails kubectl certificate approve "$NAME"
kubectl delete certificatesigningrequest "$NAME" --wait=false
