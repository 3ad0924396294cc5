# A Secret is read with curl.
#
# may: get secrets
# also: secret-read: it is a Secret that is read

admin create secret generic db --from-literal=user=shop
api "/api/v1/namespaces/$NAME/secrets/db"
