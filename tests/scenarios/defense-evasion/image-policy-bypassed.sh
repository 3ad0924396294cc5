# A pod asks to be let past the check of its image, and a Deployment's pods by each kind of patch.
#
# may: create pods
# may: get,patch deployments
# detections: 4

kubectl run shell --image=registry.k8s.io/pause:3.10 --annotations=alpha.image-policy.k8s.io/break-glass=true
admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl patch deployment shop --type=merge \
  --patch '{"spec": {"template": {"metadata": {"annotations": {"alpha.image-policy.k8s.io/break-glass": "true"}}}}}'
kubectl patch deployment shop --type=json --patch '[{"op": "add",
  "path": "/spec/template/metadata/annotations/alpha.image-policy.k8s.io~1break-glass", "value": "yes"}]'
kubectl patch deployment shop --type=json --patch '[{"op": "add",
  "path": "/spec/template/metadata/annotations", "value": {"alpha.image-policy.k8s.io/break-glass": "please"}}]'
# This takes the mark out again.
kubectl patch deployment shop --type=json --patch '[{"op": "remove",
  "path": "/spec/template/metadata/annotations/alpha.image-policy.k8s.io~1break-glass"}]'
