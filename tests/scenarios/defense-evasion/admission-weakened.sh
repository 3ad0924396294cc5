# A webhook's errors are ignored from now on, and an admission policy only warns.
#
# may: get,patch validatingwebhookconfigurations,validatingadmissionpolicybindings
# detections: 2
# also: admission-webhook-changed: it reports every change of one

admin create --filename - <<YAML
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: $NAME}
webhooks:
  - name: images.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig: {service: {name: images, namespace: policy}}
    rules: [{apiGroups: [none.example.com], apiVersions: [v1], resources: [none], operations: [CREATE]}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: $NAME}
spec: {policyName: none, validationActions: [Deny]}
YAML
kubectl patch validatingwebhookconfiguration "$NAME" --type=json \
  --patch '[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]'
kubectl patch validatingadmissionpolicybinding "$NAME" --type=merge \
  --patch '{"spec": {"validationActions": ["Warn"]}}'
