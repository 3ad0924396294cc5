# A password is written into a ConfigMap, and a key into one that is there, by both kinds of patch.
#
# may: create,get,patch configmaps
# detections: 4

kubectl create configmap shop --from-literal=DB_PASSWORD=correct-horse
admin create configmap settings --from-literal=colour=blue
kubectl patch configmap settings --type=merge --patch '{"data": {"settings": "aws_secret_access_key = abc"}}'
kubectl patch configmap settings --type=json --patch '[{"op": "add", "path": "/data/DB_PASSWORD", "value": "horse"}]'
kubectl patch configmap settings --type=json --patch '[{"op": "replace", "path": "/data",
  "value": {"settings": "aws_secret_access_key = abc"}}]'
kubectl patch configmap settings --type=json --patch '[{"op": "replace", "path": "/data", "value": {"colour": "blue"}}]'
