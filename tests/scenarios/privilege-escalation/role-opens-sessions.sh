# A role that reads pods is widened by apply: its holders may also open sessions in them.
#
# may: get,create,patch roles
# may: escalate roles
# also: role-writes: a session is created

role() { printf '{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "debugger"}, "rules": [%s]}' "$1"; }
reads='{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}'
role "$reads" | kubectl apply --filename -
role "$reads, "'{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}' | kubectl apply --filename -
