# A container is put beside those of a running pod with kubectl debug.
#
# may: get pods
# may: patch pods/ephemeralcontainers

kubectl debug web --image=registry.k8s.io/pause:3.10 --target=web --profile=general
