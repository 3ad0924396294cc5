# Files are copied out of a pod, with a kubectl of today and with an old one.
#
# may: get pods
# may: get,create pods/exec
# detections: 2
# also: exec-into-pod: it is a command in a pod
# also: user-exec-into-pod: the old one, which speaks SPDY, is a create

fails kubectl cp web:var/lib/data data
fails env KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false kubectl cp web:var/lib/data data
