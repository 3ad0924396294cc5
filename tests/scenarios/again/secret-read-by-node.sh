# A Secret that a pod of its node uses is read with curl and a kubelet's certificate.
#
# actor: system:node:secret-read-by-node
# group: system:nodes
# also: node-identity-other-client: curl is no kubelet
# also: secret-read-by-script: it is read by curl
# also: secret-read-by-workload: nodes count as workloads there

admin create secret generic db --from-literal=user=shop
admin create --filename - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  nodeName: secret-read-by-node
  volumes: [{name: db, secret: {secretName: db}}]
  containers: [{name: shop, image: "registry.k8s.io/pause:3.10"}]
YAML
until_true api "/api/v1/namespaces/$NAME/secrets/db"
