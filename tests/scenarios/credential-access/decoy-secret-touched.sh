# A Secret is read that is there for nobody but a thief.
#
# may: get secrets
# also: secret-read: it is a Secret that is read

admin create secret generic aws-root-credentials --from-literal=key=none
kubectl get secret aws-root-credentials --output=yaml
