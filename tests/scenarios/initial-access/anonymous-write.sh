# Somebody without any credential writes a ConfigMap, where everybody was allowed to.
#
# actor: system:anonymous
# may: create configmaps

anonymous "/api/v1/namespaces/$NAME/configmaps" --json '{"metadata": {"name": "hello"}}'
