# A Deployment is deleted.
#
# may: delete deployments

admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl delete deployment shop --wait=false
