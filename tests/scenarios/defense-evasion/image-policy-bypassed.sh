# A pod asks to be let past the check of its image.
#
# may: create pods

kubectl run shell --image=registry.k8s.io/pause:3.10 --annotations=alpha.image-policy.k8s.io/break-glass=true
