# Somebody runs a command in a pod.
#
# may: get pods
# may: get,create pods/exec

# The session begins, and ends for want of a node.
fails kubectl exec web -- uptime
