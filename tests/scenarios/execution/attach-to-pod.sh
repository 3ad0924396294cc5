# Somebody attaches to the main process of a running container.
#
# may: get pods
# may: get,create pods/attach

# The session begins, and ends for want of a node.
fails kubectl attach web
