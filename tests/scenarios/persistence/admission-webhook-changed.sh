# A webhook is registered that may change every pod of a namespace.
#
# may: create mutatingwebhookconfigurations

kubectl create --filename - <<YAML
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: $NAME}
webhooks:
  - name: defaults.example.com
    clientConfig: {service: {namespace: $NAME, name: web}}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NAME}}
    rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
    failurePolicy: Ignore
    sideEffects: None
    admissionReviewVersions: [v1]
YAML
