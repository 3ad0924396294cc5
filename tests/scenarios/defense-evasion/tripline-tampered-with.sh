# Tripline is made blind: by its rules, exceptions, sources, alerts, workloads, Secrets, rights, policies and kinds.
#
# may: get,patch,delete detectionrules,auditsources
# may: deletecollection securityalerts
# may: create,delete detectionexceptions
# may: get deployments
# may: patch deployments/scale
# may: delete daemonsets,serviceaccounts,clusterrolebindings,validatingadmissionpolicybindings,customresourcedefinitions
# may: get,patch secrets
# may: delete namespaces
# detections: 15
# also: admission-control-deleted: the policy that guards alerts is one
# also: binding-changed: it reports every change of one
# also: namespace-changed: it reports every deletion of one
# also: secret-changed: it is a Secret that is changed
# also: secret-read: kubectl reads what it patches
# also: workload-deleted: it reports every deletion of one

admin apply --filename - <<'YAML'
apiVersion: tripline.dev/v1alpha1
kind: DetectionRule
metadata: {name: watched}
spec: {displayName: Watched, severity: Low, riskScore: 10, query: "verb: nothing"}
---
apiVersion: tripline.dev/v1alpha1
kind: AuditSource
metadata: {name: watched}
spec: {file: {path: /var/log/kubernetes/audit.log}}
---
apiVersion: v1
kind: Secret
metadata: {name: tripline-webhook, namespace: tripline-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: tripline-other, namespace: tripline-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: tripline-other}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: tripline-other, namespace: tripline-system}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: tripline-alerts}
spec: {policyName: tripline-alerts, validationActions: [Deny]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: tripline-controller, namespace: tripline-system}
spec:
  selector: {matchLabels: {app: controller}}
  template:
    metadata: {labels: {app: controller}}
    spec: {containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: tripline-reader, namespace: tripline-system}
spec:
  selector: {matchLabels: {app: reader}}
  template:
    metadata: {labels: {app: reader}}
    spec: {containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: tripwires.tripline.dev
spec:
  group: tripline.dev
  scope: Cluster
  names: {plural: tripwires, kind: Tripwire}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
YAML
kubectl patch detectionrule watched --type=merge --patch '{"spec": {"mode": "Disabled"}}'
kubectl create --filename - <<'YAML'
apiVersion: tripline.dev/v1alpha1
kind: DetectionException
metadata: {name: quiet}
spec: {rules: {names: [watched]}, query: "verb: *", reason: it is known}
YAML
kubectl patch auditsource watched --type=merge --patch '{"spec": {"file": {"path": "/var/log/other.log"}}}'
kubectl delete detectionexception quiet --wait=false
kubectl delete detectionrule watched --wait=false
kubectl delete auditsource watched --wait=false
its=--namespace=tripline-system
kubectl $its scale deployment tripline-controller --replicas=0
kubectl $its delete daemonset tripline-reader --wait=false
kubectl $its patch secret tripline-webhook --type=merge --patch '{"stringData": {"token": "mine"}}'
kubectl $its delete serviceaccount tripline-other --wait=false
kubectl delete clusterrolebinding tripline-other --wait=false
kubectl delete validatingadmissionpolicybinding tripline-alerts --wait=false
kubectl delete --raw /apis/tripline.dev/v1alpha1/securityalerts
kubectl delete customresourcedefinition tripwires.tripline.dev --wait=false
kubectl delete namespace tripline-system --wait=false
# What the controllers then do is no change by anybody.
until_true bash -c '! kubectl --context=administrator get namespace tripline-system'
