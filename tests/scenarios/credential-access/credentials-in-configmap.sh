# A password is written into a ConfigMap, and a key into one that is there.
#
# may: create,get,patch configmaps
# detections: 2

kubectl create configmap shop --from-literal=DB_PASSWORD=correct-horse
admin create configmap settings --from-literal=colour=blue
kubectl patch configmap settings --type=merge --patch '{"data": {"settings": "aws_secret_access_key = abc"}}'
