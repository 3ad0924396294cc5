# The network policies that keep others away from a namespace are deleted: one by its name, and all at once.
#
# may: delete,deletecollection networkpolicies
# detections: 2

admin create --filename - <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {}}
YAML
kubectl delete networkpolicy closed --wait=false
kubectl delete --raw "/apis/networking.k8s.io/v1/namespaces/$NAME/networkpolicies"
