# A network policy lets everything in.
#
# may: create networkpolicies

kubectl create --filename - <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open}
spec: {podSelector: {}, ingress: [{}]}
YAML
