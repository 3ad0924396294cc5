# A ReplicationController is created whose container may become root by a setuid program.
#
# may: create replicationcontrollers

kubectl create --filename - <<'YAML'
apiVersion: v1
kind: ReplicationController
metadata: {name: legacy}
spec:
  replicas: 1
  selector: {app: legacy}
  template:
    metadata: {labels: {app: legacy}}
    spec:
      containers:
        - {name: legacy, image: "registry.k8s.io/pause:3.10", securityContext: {allowPrivilegeEscalation: true}}
YAML
until_true admin get pods --selector=app=legacy --output='jsonpath={.items[0]}'
