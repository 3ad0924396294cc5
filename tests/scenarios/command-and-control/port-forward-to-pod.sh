# A tunnel is opened to a port of a pod, with a kubectl of today and with an old one.
#
# may: get pods
# may: get,create pods/portforward
# detections: 3

admin patch pod web --subresource=status --patch '{"status": {"phase": "Running"}}'
# A node that does not answer makes today's try the old way as well.
fails timeout 20 kubectl port-forward web :6379
fails env KUBECTL_PORT_FORWARD_WEBSOCKETS=false timeout 20 kubectl port-forward web :6379
