# Somebody is made an administrator of all, and another added to a binding that was there.
#
# may: get,create,patch clusterrolebindings
# may: bind clusterroles
# detections: 2
# also: binding-changed: it reports every binding

kubectl create clusterrolebinding "$NAME" --clusterrole=cluster-admin --user=mallory@example.org
admin create clusterrolebinding "$NAME-admins" --clusterrole=cluster-admin --user=root@example.org
kubectl patch clusterrolebinding "$NAME-admins" --type=merge --patch '
subjects:
  - {kind: User, name: root@example.org, apiGroup: rbac.authorization.k8s.io}
  - {kind: User, name: eve@example.org, apiGroup: rbac.authorization.k8s.io}'
