# Files are copied out of a pod.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it is a command in a pod

fails kubectl cp web:var/lib/data data
