# A database is served to the internet: one that is known by its port, one that is by its name, and one that was not before.
#
# may: create,get,patch services
# detections: 4

kubectl create service loadbalancer sessions --tcp=6379
kubectl create service loadbalancer redis --tcp=80
admin create service clusterip store --tcp=5432
kubectl patch service store --type=merge --patch '{"spec": {"type": "LoadBalancer"}}'
admin patch service store --type=merge --patch '{"spec": {"type": "ClusterIP"}}'
kubectl patch service store --type=json --patch '[{"op": "replace", "path": "/spec/type", "value": "LoadBalancer"}]'
