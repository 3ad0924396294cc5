# A service account makes a role and hands it out.
#
# actor: system:serviceaccount:rbac-written-by-service-account:web
# may: create roles,rolebindings
# may: escalate,bind roles
# detections: 2
# also: binding-changed: it reports every binding

kubectl create role watcher --verb=get,list --resource=pods
kubectl create rolebinding watcher --role=watcher --user=bob@example.org
