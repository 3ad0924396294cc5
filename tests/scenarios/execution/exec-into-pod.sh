# Somebody runs a command in a pod, with a kubectl of today and with an old one.
#
# may: get pods
# may: get,create pods/exec
# detections: 2
# also: user-exec-into-pod: the old one, which speaks SPDY, is a create

# Each session begins, and ends for want of a node.
fails kubectl exec web -- uptime
fails env KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false kubectl exec web -- uptime
