# A pod bears the name of a part of the cluster.
#
# may: create pods

kubectl run kube-proxy-x7z2p --image=registry.k8s.io/pause:3.10
