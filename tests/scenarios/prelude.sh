# What every scenario has: bash reads this file before the script.
#
# kubectl is the scenario's actor, in the namespace that is named like the scenario. $NAME is that name, $ACTOR the
# actor's user name, $API the server's address, $SCRATCH a folder for files.
set -euo pipefail

# What the administrator does, which no rule is asked about.
admin() { kubectl --context=administrator "$@"; }

# A raw request to a path, by the actor's certificate; further arguments are curl's.
api() { request --cert "$CERTIFICATE" --key "$KEY" "$API$1" "${@:2}"; }

# The same by the actor's token, where it is a service account.
api_by_token() { request --header "Authorization: Bearer $TOKEN" "$API$1" "${@:2}"; }

# The same by nobody.
anonymous() { request "$API$1" "${@:2}"; }

request() { curl --silent --show-error --fail-with-body --max-time 20 --cacert "$CA" "$@"; }

# A command that must not succeed: it is refused, or ends for want of a node.
fails() {
  if "$@"; then
    echo "this succeeded, and must not: $*" >&2
    return 1
  fi
}

# Waits until a command succeeds.
until_true() {
  for _ in $(seq 200); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "waited in vain for: $*" >&2
  return 1
}

# An actor that is a service account has a token instead of a certificate.
case $ACTOR in
  "system:serviceaccount:$NAME:"*)
    account=${ACTOR##*:}
    [ "$account" = default ] || admin create serviceaccount "$account"
    TOKEN=$(admin create token "$account")
    kubectl config set-credentials account --token="$TOKEN" >/dev/null
    kubectl config set-context actor --user=account >/dev/null
    ;;
esac
