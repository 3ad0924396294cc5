# A name of the cluster's DNS is pointed to a host elsewhere, by a patch and by an update; a dry run of it is none.
#
# may: get,patch,update configmaps
# detections: 2

admin create --namespace=kube-system configmap coredns --from-literal='Corefile=.:53 { kubernetes }'
change='{"data": {"Corefile": ".:53 { hosts { 203.0.113.66 vault.example.com } }"}}'
kubectl --namespace=kube-system patch configmap coredns --type=merge --patch "$change"
kubectl --namespace=kube-system patch configmap coredns --type=merge --patch "$change" --dry-run=server
kubectl --namespace=kube-system create configmap coredns --from-literal=Corefile=none --dry-run=client --output=yaml |
  kubectl replace --filename -
