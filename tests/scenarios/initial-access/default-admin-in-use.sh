# The administrator's file that came with the cluster is used.
#
# actor: kubernetes-admin
# group: kubeadm:cluster-admins
# may: list pods

kubectl get pods
