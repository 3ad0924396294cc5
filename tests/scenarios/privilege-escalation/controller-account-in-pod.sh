# A pod is put into kube-system with the account of the controller that may write every role.
#
# may: create pods
# also: workload-in-system-namespace: it is a pod in kube-system

admin get serviceaccount clusterrole-aggregation-controller --namespace=kube-system ||
  admin create serviceaccount clusterrole-aggregation-controller --namespace=kube-system
kubectl run log-shipper --namespace=kube-system --image=registry.k8s.io/pause:3.10 \
  --overrides='{"spec": {"serviceAccountName": "clusterrole-aggregation-controller"}}'
