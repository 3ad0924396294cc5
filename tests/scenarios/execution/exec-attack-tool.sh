# Somebody scans the network from within a container.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it reports every session

fails kubectl exec web -- nmap -sT -p 10250,6443,2379 10.0.0.0/24
