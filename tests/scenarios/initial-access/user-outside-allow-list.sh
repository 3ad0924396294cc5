# A user whom nobody knows lists pods.
#
# actor: eve
# may: list pods

kubectl get pods
