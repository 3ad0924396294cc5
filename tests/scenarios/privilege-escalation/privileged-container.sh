# A Deployment with a privileged container is applied.
#
# may: get,create deployments

kubectl apply --filename - <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
        - name: agent
          image: registry.k8s.io/pause:3.10
          securityContext: {privileged: true}
YAML
# What the controllers make of it is told as well, as little as it is theirs.
until_true admin get pods --selector=app=agent --output='jsonpath={.items[0]}'
