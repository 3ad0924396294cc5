# Somebody asks for a certificate that lets them in for a year, and approves it themselves.
#
# may: create,get certificatesigningrequests
# may: update certificatesigningrequests/approval
# may: approve signers
# detections: 2
# also: client-certificate-requested: it is a client's certificate that is asked for

openssl req -new -newkey rsa:2048 -nodes -keyout "$SCRATCH/own.key" -out "$SCRATCH/own.csr" -subj /CN=backup 2>/dev/null
kubectl create --filename - <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $NAME}
spec:
  request: $(base64 --wrap=0 "$SCRATCH/own.csr")
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 31536000
  usages: [client auth]
YAML
kubectl certificate approve "$NAME"
