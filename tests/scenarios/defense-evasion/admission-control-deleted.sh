# A webhook that checks images is deleted, an admission policy, and its binding.
#
# may: delete validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings
# detections: 4

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
# This is only tried, which its body says. It counts, since no rule needs bodies of deletions to be logged.
kubectl delete validatingwebhookconfiguration "$NAME" --dry-run=server
kubectl delete validatingwebhookconfiguration "$NAME" --wait=false
kubectl delete validatingadmissionpolicybinding "$NAME" --wait=false
# Its URI says that this is tried, and its body does not: it is done.
api "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/$NAME?dryRun=All" --request DELETE \
  --header 'Content-Type: application/json' --data '{}'
fails admin get validatingadmissionpolicy "$NAME"
