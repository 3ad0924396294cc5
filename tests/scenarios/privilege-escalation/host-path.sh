# A Deployment mounts a folder of its node that holds nothing of the node's own.
#
# may: get,create deployments

kubectl apply --filename - <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache}
spec:
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec:
      containers:
        - name: cache
          image: registry.k8s.io/pause:3.10
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, hostPath: {path: /opt/cache}}]
YAML
until_true admin get pods --selector=app=cache --output='jsonpath={.items[0]}'
