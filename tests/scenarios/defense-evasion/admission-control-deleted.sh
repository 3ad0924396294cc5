# A webhook that checks images is deleted, and an admission policy's binding.
#
# may: delete validatingwebhookconfigurations,validatingadmissionpolicybindings
# detections: 2

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
kubectl delete validatingwebhookconfiguration "$NAME" --wait=false
kubectl delete validatingadmissionpolicybinding "$NAME" --wait=false
