# A namespace's Pod Security level is taken away in each way that there is.
#
# may: get,patch,update namespaces
# detections: 4

level=pod-security.kubernetes.io/enforce
admin label namespace "$NAME" --overwrite $level=restricted
kubectl label namespace "$NAME" --overwrite $level=privileged
kubectl label namespace "$NAME" --overwrite $level=privileged --dry-run=server
kubectl get namespace "$NAME" --output=json | kubectl replace --filename -
kubectl patch namespace "$NAME" --type=json \
  --patch '[{"op": "add", "path": "/metadata/labels", "value": {"pod-security.kubernetes.io/enforce": "privileged"}}]'
kubectl patch namespace "$NAME" --type=json \
  --patch '[{"op": "remove", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce"}]'
