# A role is made that may do everything.
#
# may: create clusterroles
# may: escalate clusterroles
# also: role-with-wildcard: a star suffices there
# also: role-writes: the star is also the verbs that write
# also: role-reads-secrets: and Secrets among all else

kubectl create clusterrole "$NAME" --verb='*' --resource='*.*'
