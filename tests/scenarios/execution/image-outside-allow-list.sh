# A Deployment's image is exchanged for one of another registry, and an init container added that has such a one.
#
# may: get,patch deployments
# detections: 2

admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl set image deployment/shop pause=ghcr.io/somebody/shop:latest
kubectl patch deployment shop --patch '
spec: {template: {spec: {initContainers: [{name: prepare, image: "docker.io/library/busybox:1.37"}]}}}'
