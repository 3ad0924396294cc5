# A webhook's errors are ignored from now on, others are taken out, and an admission policy only warns.
#
# may: get,patch validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings
# detections: 6
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
  - &another
    name: another.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    clientConfig: {service: {name: images, namespace: policy}}
    rules: [{apiGroups: [none.example.com], apiVersions: [v1], resources: [none], operations: [CREATE]}]
  - {<<: *another, name: third.example.com}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: $NAME}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [none.example.com], apiVersions: [v1], resources: [none], operations: [CREATE]}]
  validations: [{expression: object.spec.replicas < 5}]
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
kubectl patch validatingwebhookconfiguration "$NAME" --type=json --patch '[{"op": "remove", "path": "/webhooks/2"}]'
kubectl patch validatingwebhookconfiguration "$NAME" --type=strategic \
  --patch '{"webhooks": [{"name": "another.example.com", "$patch": "delete"}]}'
kubectl patch validatingadmissionpolicy "$NAME" --type=json \
  --patch '[{"op": "replace", "path": "x/spec/validations/0/expression", "value": "true"}]'
whole=$(admin get validatingadmissionpolicybinding "$NAME" --output=json)
kubectl patch validatingadmissionpolicybinding "$NAME" --type=json \
  --patch '[{"op": "replace", "path": "", "value": '"$whole"'}]'
# What a certificate manager does.
kubectl patch validatingwebhookconfiguration "$NAME" --type=json \
  --patch '[{"op": "add", "path": "/metadata/labels", "value": {"team": "shop"}}]'
