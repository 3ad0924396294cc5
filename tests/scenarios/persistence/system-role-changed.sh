# A built-in role is given Secrets to read, and kept from being repaired.
#
# may: get,patch clusterroles
# may: escalate clusterroles
# detections: 2
# also: role-reads-secrets: it reads Secrets from then on

kubectl annotate --overwrite clusterrole system:node-problem-detector rbac.authorization.kubernetes.io/autoupdate=false
kubectl patch clusterrole system:node-problem-detector --type=merge --patch '
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get, list]}'
