# A Deployment is deleted, after that was tried.
#
# may: delete deployments
# detections: 2

admin create deployment shop --image=registry.k8s.io/pause:3.10
# It counts, since no rule needs bodies of deletions to be logged.
kubectl delete deployment shop --dry-run=server
kubectl delete deployment shop --wait=false
