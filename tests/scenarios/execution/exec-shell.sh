# Somebody opens a shell in a container.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it reports every session

fails kubectl exec --stdin web --container=web -- /bin/sh
