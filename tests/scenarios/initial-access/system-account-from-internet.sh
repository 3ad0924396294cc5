# A workload's token is used from somewhere on the internet, as the proxy before the API server says.
#
# actor: system:serviceaccount:system-account-from-internet:web
# may: list configmaps

api_by_token "/api/v1/namespaces/$NAME/configmaps" --header "X-Forwarded-For: 198.41.0.4" --user-agent client/1.0
