# A namespace's Pod Security level is set to the one that allows everything.
#
# may: get,patch namespaces

admin label namespace "$NAME" --overwrite pod-security.kubernetes.io/enforce=restricted
kubectl label namespace "$NAME" --overwrite pod-security.kubernetes.io/enforce=privileged
