# A pod is run among its node's processes.
#
# may: create pods

kubectl run top --image=registry.k8s.io/pause:3.10 --overrides='{"spec": {"hostPID": true}}'
