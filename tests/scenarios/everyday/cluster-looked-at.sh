# An auditor with the role `view` looks around.
#
# may: get,list,watch pods,services,configmaps,deployments,nodes,namespaces,events,roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies,serviceaccounts

kubectl get pods,services,configmaps,deployments,networkpolicies,serviceaccounts --all-namespaces
kubectl get nodes --output=wide
kubectl describe node paper
kubectl get roles,rolebindings,clusterroles,clusterrolebindings --all-namespaces
kubectl get events --all-namespaces
kubectl auth can-i create deployments || true
kubectl auth whoami
kubectl api-resources
kubectl version
kubectl cluster-info
