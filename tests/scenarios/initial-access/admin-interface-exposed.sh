# A dashboard is served to the internet, and others that were not become so.
#
# may: create,get,patch services
# detections: 4

kubectl create service loadbalancer kubernetes-dashboard --tcp=443:8443
admin create service clusterip grafana --tcp=80:3000
kubectl patch service grafana --type=merge --patch '{"spec": {"type": "LoadBalancer"}}'
# Nothing but what it selects tells what this is.
admin create service clusterip ui --tcp=80
admin set selector service ui app=argocd-server
kubectl patch service ui --type=merge --patch '{"spec": {"type": "LoadBalancer"}}'
admin patch service ui --type=merge --patch '{"spec": {"type": "ClusterIP"}}'
kubectl patch service ui --type=json --patch '[{"op": "replace", "path": "/spec/type", "value": "LoadBalancer"}]'
