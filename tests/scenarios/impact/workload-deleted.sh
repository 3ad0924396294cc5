# A Deployment is deleted, after that was tried.
#
# may: delete deployments
# detections: 1

admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl delete deployment shop --dry-run=server
kubectl delete deployment shop --wait=false
