# A Service opens a port on every node: a new one, and one that did not.
#
# may: create,get,patch services
# detections: 2

kubectl create service nodeport web --tcp=80
admin create service clusterip shop --tcp=80
kubectl patch service shop --type=merge --patch '{"spec": {"type": "NodePort"}}'
