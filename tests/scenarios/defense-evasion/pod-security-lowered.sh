# A namespace's Pod Security level is taken away in each way that there is.
#
# may: get,patch,update namespaces
# detections: 10

level=pod-security.kubernetes.io/enforce
admin label namespace "$NAME" --overwrite $level=restricted
kubectl label namespace "$NAME" --overwrite $level=privileged
kubectl label namespace "$NAME" --overwrite $level=privileged --dry-run=server
kubectl get namespace "$NAME" --output=json | kubectl replace --filename -
kubectl patch namespace "$NAME" --type=json \
  --patch '[{"op": "add", "path": "/metadata/labels", "value": {"pod-security.kubernetes.io/enforce": "privileged"}}]'
kubectl patch namespace "$NAME" --type=json \
  --patch '[{"op": "remove", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce"}]'
# Each of these leaves a namespace without the level, or with the lowest.
again() {
  admin label namespace "$NAME" --overwrite $level=restricted
  kubectl patch namespace "$NAME" "$@"
}
again --type=json --patch '[{"op": "replace", "path": "x/metadata/labels/pod-security.kubernetes.io~1enforce",
  "value": "privileged"}]'
again --type=json --patch '[{"op": "replace", "path": "/metadata/labels", "value": {"team": "shop"}}]'
again --type=json --patch '[{"op": "replace", "path": "", "value": {"apiVersion": "v1", "kind": "Namespace",
  "metadata": {"name": "'"$NAME"'", "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}}]'
again --type=strategic --patch '{"metadata": {"labels": {"$patch": "replace", "team": "shop"}}}'
again --type=strategic --patch '{"metadata": {"labels": {"$retainKeys": ["team"], "team": "shop"}}}'
admin label namespace "$NAME" --overwrite $level=restricted
kubectl apply --server-side --force-conflicts --filename - <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: $NAME, labels: {pod-security.kubernetes.io/enforce: privileged}}
YAML
# These leave it.
admin label namespace "$NAME" --overwrite $level=baseline
kubectl patch namespace "$NAME" --type=json --patch '[{"op": "add", "path": "/metadata/labels/team", "value": "shop"}]'
kubectl patch namespace "$NAME" --type=json --patch '[{"op": "add", "path": "/metadata/labels",
  "value": {"pod-security.kubernetes.io/enforce": "baseline"}}]'
