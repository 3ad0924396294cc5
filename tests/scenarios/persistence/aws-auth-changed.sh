# An identity of AWS is made an administrator of the cluster.
#
# may: get,patch configmaps

admin create configmap aws-auth --namespace=kube-system --from-literal=mapRoles='[]'
kubectl patch configmap aws-auth --namespace=kube-system --patch '
data:
  mapUsers: |
    - userarn: arn:aws:iam::123456789012:user/mallory
      groups: [system:masters]'
