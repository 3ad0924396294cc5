# The cloud's metadata service is asked for the node's credentials from inside of a pod.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it reports every command in a pod
# also: exec-downloads: it is a curl of a URL

fails kubectl exec web -- curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/node
