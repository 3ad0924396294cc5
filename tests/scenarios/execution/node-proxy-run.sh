# A command is sent to a kubelet past the log of sessions, through the API server's proxy.
#
# may: get,create nodes/proxy
# also: node-proxy: it reports whatever is asked of a kubelet but its figures

# Nobody listens there.
fails api "/api/v1/nodes/paper/proxy/run/$NAME/web/web" --data cmd=id
