# A certificate of a group that may do everything is asked for, which the API server refuses, then the controllers'.
#
# may: create,get certificatesigningrequests
# detections: 2
# also: client-certificate-requested: it is a client's certificate that is asked for
# also: request-refused: the API server refuses the first
# also: certificate-requested-or-approved: it reports every request for a certificate

ask() {
  openssl req -new -newkey rsa:2048 -nodes -keyout "$SCRATCH/$1.key" -out "$SCRATCH/$1.csr" -subj "$2" 2>/dev/null
  kubectl create --filename - <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $NAME-$1}
spec:
  request: $(base64 --wrap=0 "$SCRATCH/$1.csr")
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
YAML
}

fails ask everything /O=system:masters/CN=backup
ask controllers /CN=system:kube-controller-manager
