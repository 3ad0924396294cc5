# Somebody without any credential lists pods, where everybody was allowed to.
#
# actor: system:anonymous
# may: list pods

anonymous "/api/v1/namespaces/$NAME/pods"
