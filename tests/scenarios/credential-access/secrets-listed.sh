# A person lists the Secrets of all namespaces.
#
# may: list secrets
# also: secrets-listed-anywhere: it reports every list

kubectl get secrets --all-namespaces
