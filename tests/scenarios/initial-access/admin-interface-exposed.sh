# A dashboard is served to the internet, and another that was not becomes so.
#
# may: create,get,patch services
# detections: 2

kubectl create service loadbalancer kubernetes-dashboard --tcp=443:8443
admin create service clusterip grafana --tcp=80:3000
kubectl patch service grafana --type=merge --patch '{"spec": {"type": "LoadBalancer"}}'
