# Somebody without any credential lists pods, where everybody was allowed to; to ask for the version is nothing.
#
# actor: system:anonymous
# may: list pods
# detections: 1

anonymous /version
anonymous "/api/v1/namespaces/$NAME/pods"
