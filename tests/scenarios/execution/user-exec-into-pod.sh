# Somebody runs a command in a pod with a client that speaks SPDY, as kubectl before 1.31 did.
#
# may: get pods
# may: create pods/exec
# also: exec-into-pod: it reports sessions of both kinds

KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false fails kubectl exec web -- uptime
