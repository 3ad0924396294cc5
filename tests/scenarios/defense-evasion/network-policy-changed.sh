# A network policy lets everything in: a new one, and one that is changed.
#
# may: get,create,patch networkpolicies
# detections: 2

admin create --filename - <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {}}
YAML
kubectl create --filename - <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open}
spec: {podSelector: {}, ingress: [{}]}
YAML
kubectl patch networkpolicy closed --type=merge --patch '{"spec": {"ingress": [{}]}}'
