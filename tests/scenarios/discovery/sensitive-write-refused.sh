# Somebody tries to give themselves the administrator's role, and is refused.
#
# may: get pods
# also: request-refused: it reports every refusal

fails kubectl create clusterrolebinding mine --clusterrole=cluster-admin --user="$ACTOR"
