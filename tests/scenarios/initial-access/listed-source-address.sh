# A request comes from a listed address, through a proxy.
#
# may: list pods

api "/api/v1/namespaces/$NAME/pods" --header 'X-Forwarded-For: 192.0.2.77'
