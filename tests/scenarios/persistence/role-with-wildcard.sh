# A role is applied that may do anything with ConfigMaps.
#
# may: get,create,patch roles
# may: escalate roles
# also: role-writes: the star is also the verbs that write

kubectl apply --filename - <<'YAML'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: settings}
rules: [{apiGroups: [""], resources: [configmaps], verbs: ["*"]}]
YAML
