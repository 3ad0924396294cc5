# A service account reads a Secret of its namespace.
#
# actor: system:serviceaccount:secret-read-by-workload:web
# may: get secrets

admin create secret generic db --from-literal=user=shop
kubectl get secret db --output=yaml
