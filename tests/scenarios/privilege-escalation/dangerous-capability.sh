# A Deployment's container is given the capability that is as good as root on the node.
#
# may: get,patch deployments

admin create deployment shop --image=registry.k8s.io/pause:3.10
until_true admin get pods --selector=app=shop --output='jsonpath={.items[0]}'
kubectl patch deployment shop --patch '
spec: {template: {spec: {containers: [{name: pause, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}}}'
# The pods of the new template are made by a controller, about which nothing is reported.
until_true admin get pods --selector=app=shop --output='jsonpath={.items[1]}'
