# A Secret is made that is filled with a token without an end.
#
# may: create secrets
# also: secret-changed: it is a Secret that is created

kubectl create --filename - <<'YAML'
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: web-token
  annotations: {kubernetes.io/service-account.name: default}
YAML
until_true admin get secret web-token --output='jsonpath={.data.token}'
