# A Secret is made, changed and deleted.
#
# may: create,patch,delete secrets
# may: get secrets
# detections: 3
# also: secret-read: kubectl reads what it patches

kubectl create secret generic db --from-literal=user=shop
kubectl patch secret db --type=merge --patch '{"stringData": {"user": "root"}}'
kubectl delete secret db
