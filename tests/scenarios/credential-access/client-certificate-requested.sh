# Somebody asks for a certificate that the API server takes for a client's.
#
# may: create certificatesigningrequests
# also: certificate-requested-or-approved: it reports every request by others than nodes

openssl req -new -newkey rsa:2048 -nodes -keyout key.pem -subj /O=operators/CN=me -out request.pem 2>/dev/null
kubectl create --filename - <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $NAME}
spec:
  request: $(base64 --wrap=0 request.pem)
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
YAML
