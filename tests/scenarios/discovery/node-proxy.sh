# A kubelet is asked for its pods through the API server.
#
# may: get nodes/proxy

fails kubectl get --raw /api/v1/nodes/paper/proxy/pods
