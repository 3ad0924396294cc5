# A Deployment's containers are made to see each other's processes.
#
# may: get,patch deployments

admin create deployment shop --image=registry.k8s.io/pause:3.10
until_true admin get pods --selector=app=shop --output='jsonpath={.items[0]}'
kubectl patch deployment shop --patch '{"spec": {"template": {"spec": {"shareProcessNamespace": true}}}}'
# The pods of the new template are made by a controller, about which nothing is reported.
until_true admin get pods --selector=app=shop --output='jsonpath={.items[1]}'
