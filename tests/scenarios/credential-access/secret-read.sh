# A person reads a Secret.
#
# may: get secrets

admin create secret generic db --from-literal=user=shop
kubectl get secret db --output=yaml
