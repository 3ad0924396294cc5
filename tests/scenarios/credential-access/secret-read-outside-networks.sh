# A Secret is read from an address outside of the company's networks.
#
# may: get secrets
# also: secret-read: it is a Secret that is read

admin create secret generic db --from-literal=user=shop
api "/api/v1/namespaces/$NAME/secrets/db" --interface 127.1.2.3 --user-agent client/1.0
