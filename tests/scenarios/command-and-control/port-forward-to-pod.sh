# A tunnel is opened to a port of a pod.
#
# may: get pods
# may: get,create pods/portforward

admin patch pod web --subresource=status --patch '{"status": {"phase": "Running"}}'
fails timeout 20 kubectl port-forward web :6379
