# A role is made that changes Deployments.
#
# may: create clusterroles
# may: escalate clusterroles

kubectl create clusterrole "$NAME" --verb=get,patch,update --resource=deployments.apps
