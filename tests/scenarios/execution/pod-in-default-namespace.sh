# Somebody runs a Deployment without having thought of a namespace.
#
# may: create deployments

kubectl create deployment "$NAME" --namespace=default --image=registry.k8s.io/pause:3.10
until_true admin get pods --namespace=default --selector="app=$NAME" --output='jsonpath={.items[0]}'
