# Somebody looks at a node with kubectl debug, which mounts all its files.
#
# may: get nodes
# may: get,create pods
# also: host-path: it reports every path of a node
# also: host-network: such a pod is in its node's network
# also: host-processes: and among its processes

kubectl debug node/paper --image=registry.k8s.io/pause:3.10 --profile=general
