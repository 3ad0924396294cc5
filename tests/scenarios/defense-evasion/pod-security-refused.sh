# Somebody tries to run a pod that the namespace's Pod Security level refuses.
#
# may: create pods
# also: request-refused: it reports every refusal

admin label namespace "$NAME" --overwrite pod-security.kubernetes.io/enforce=baseline
fails kubectl run shell --image=registry.k8s.io/pause:3.10 --overrides='{"spec": {"hostPID": true}}'
