# A person lists the Secrets of all namespaces and those of kube-system, and watches them.
#
# may: list,watch secrets
# detections: 3
# also: secrets-listed-anywhere: it reports every list

kubectl get secrets --all-namespaces
kubectl get secrets --namespace=kube-system
kubectl get --raw '/api/v1/secrets?watch=true&timeoutSeconds=1'
