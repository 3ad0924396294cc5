# A pod is accepted that violates the level that is only written down.
#
# may: create pods

admin label namespace "$NAME" pod-security.kubernetes.io/audit=restricted
kubectl run web-1 --image=registry.k8s.io/pause:3.10
