# A developer applies an application, rolls it out, looks at it and takes it away.
#
# may: get,list,watch,create,update,patch,delete pods,services,configmaps,deployments,replicasets,jobs,cronjobs,ingresses,events
# may: get,list,watch pods/log
# may: get,patch deployments/scale

cat > shop.yaml <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {colour: blue}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: "registry.k8s.io/pause:3.9"}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "0 5 * * *"
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: report, image: "registry.k8s.io/pause:3.9"}]}
YAML
kubectl apply --filename shop.yaml
sed -i 's/pause:3.9/pause:3.10/; s/blue/green/' shop.yaml
kubectl diff --filename shop.yaml || [ $? = 1 ]
kubectl apply --filename shop.yaml
kubectl apply --server-side --force-conflicts --filename shop.yaml
kubectl patch deployment shop --type=json --patch '[
  {"op": "test", "path": "/spec/template/spec/containers/0/name", "value": "shop"},
  {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.k8s.io/pause:3.9"}]'
kubectl patch service shop --type=json --patch '[{"op": "replace", "path": "/spec/ports/0/port", "value": 8080}]'
kubectl delete deployment shop --dry-run=server
kubectl rollout restart deployment shop
kubectl scale deployment shop --replicas=2
until_true admin get pods --selector=app=shop --output='jsonpath={.items[1]}'
kubectl get pods,deployments,services,configmaps,ingresses
kubectl describe deployment shop
fails kubectl logs web
kubectl delete pod web --grace-period=0 --force --wait=false
kubectl create job report-now --from=cronjob/report
kubectl delete --filename shop.yaml --wait=false
