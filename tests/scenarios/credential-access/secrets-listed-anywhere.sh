# A person lists the Secrets of one namespace.
#
# may: list secrets

kubectl get secrets
