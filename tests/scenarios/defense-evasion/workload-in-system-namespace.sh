# A Deployment is put where nobody looks: into kube-system.
#
# may: create deployments

kubectl --namespace=kube-system create deployment metrics-helper --image=registry.k8s.io/pause:3.10
