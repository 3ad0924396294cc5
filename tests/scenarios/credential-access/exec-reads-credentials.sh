# A pod's token is printed by a command in it.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it reports every command in a pod

fails kubectl exec web -- cat /var/run/secrets/kubernetes.io/serviceaccount/token
