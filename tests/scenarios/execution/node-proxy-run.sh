# A command is sent to a kubelet past the log of sessions, through the API server's proxy.
#
# may: get,create nodes/proxy
# detections: 2
# also: node-proxy: it reports whatever is asked of a kubelet but its figures

# Nobody listens there.
fails api "/api/v1/nodes/paper/proxy/run/$NAME/web/web" --data cmd=id
fails api "/api/v1/nodes/paper/proxy/exec/$NAME/web/web?command=id&output=1"
