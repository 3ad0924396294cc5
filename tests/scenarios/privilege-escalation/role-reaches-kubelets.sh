# A role is made that reaches kubelets, which is enough to run commands in all their pods.
#
# may: create clusterroles
# may: escalate clusterroles

kubectl create clusterrole "$NAME" --verb=get --resource=nodes/proxy
