# A role is made that reads the Secrets of a namespace.
#
# may: create roles
# may: escalate roles

kubectl create role reader --verb=get,list --resource=secrets
