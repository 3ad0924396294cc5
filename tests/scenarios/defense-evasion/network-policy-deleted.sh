# The network policy that keeps others away from a namespace is deleted.
#
# may: delete networkpolicies

admin create --filename - <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {}}
YAML
kubectl delete networkpolicy closed --wait=false
