# A part of the API is handed to a server of somebody's own, and taken back.
#
# may: create,get,list,watch,delete apiservices
# detections: 2

kubectl create --filename - <<YAML
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.billing.example.com}
spec:
  group: billing.example.com
  version: v1
  service: {namespace: $NAME, name: web}
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 100
  versionPriority: 100
YAML
kubectl delete apiservice v1.billing.example.com
