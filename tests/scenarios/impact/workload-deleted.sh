# A Deployment is deleted.
#
# may: delete,get,list,watch deployments

admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl delete deployment shop
