# A role is made whose holder can give themselves any right, and one whose holder can be anybody.
#
# may: create clusterroles
# may: escalate clusterroles
# detections: 2

kubectl create clusterrole "$NAME-escalates" --verb=escalate,bind --resource=clusterroles
kubectl create clusterrole "$NAME-impersonates" --verb=impersonate --resource=serviceaccounts
