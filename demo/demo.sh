#!/usr/bin/env bash
# The main job on real parts: a control plane, the operator, a kubectl exec, and the alert it raises.
#
#   demo/demo.sh          on a terminal it stays up afterwards, to try things, until Enter or Ctrl-C
#
# Everything runs on loopback, in one temporary folder, and is stopped and removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# Shows a command as it would be typed, and runs it.
show() { printf '$ %s\n' "$*"; "$@"; }

say "Building (the first time: a Kubernetes control plane, some minutes)"
programs=$(tests/controlplane/build.sh etcd kube-apiserver kubectl)
export PATH="$programs:$PATH"
cargo build --locked --bin tripline --example control-plane
tripline=$PWD/target/debug/tripline

folder=$(mktemp -d "${TMPDIR:-/tmp}/tripline-demo.XXXXXX")
cleanup() {
  trap - EXIT INT TERM
  # The operator first, so that it ends in order; the control plane ends with its standard input.
  [ -z "${operator:-}" ] || { kill "$operator" 2>/dev/null && wait "$operator" 2>/dev/null; } || true
  exec 3>&- || true
  [ -z "${plane:-}" ] || wait "$plane" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# Waits until a command succeeds, at most a minute.
wait_until() {
  local limit=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || { echo "waited in vain for: $*; see the logs in $folder" >&2; trap - EXIT; exit 1; }
    sleep 0.1
  done
}

say "Starting etcd and kube-apiserver"
mkfifo "$folder/stdin"
target/debug/examples/control-plane "$folder/plane" <"$folder/stdin" >"$folder/control-plane.log" 2>&1 &
plane=$!
exec 3>"$folder/stdin"
wait_until grep -q '^ready' "$folder/control-plane.log"
kubeconfig() { sed -n "s/^$1 \+//p" "$folder/control-plane.log"; }
log=$(sed -n 's/^audit log \+//p' "$folder/control-plane.log")
KUBECONFIG=$(kubeconfig admin)
export KUBECONFIG

say "Installing the kinds, the operator's account, the rules and the source"
"$tripline" crds | kubectl apply -f -
kubectl wait --for=condition=Established crd --all >/dev/null
show kubectl apply -f deploy/rbac.yaml -f rules/
kubectl apply -f - <<YAML
apiVersion: tripline.dev/v1alpha1
kind: AuditSource
metadata:
  name: kube-apiserver
spec:
  file:
    path: $log
YAML

say "Starting the operator as that account"
"$tripline" run --kubeconfig "$(kubeconfig tripline)" --node control-plane-1 \
  --state-dir "$folder/state" --log-root "$(dirname "$log")" --listen 127.0.0.1:0 --log-format text \
  2>"$folder/operator.log" &
operator=$!
kubectl wait --for=condition=Ready auditsource/kube-apiserver detectionrule/exec-into-pod --timeout=60s

say "Making a pod, and opening a session in it as alice"
kubectl apply -f - <<'YAML'
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
  - {apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: shop}}
  - {apiVersion: v1, kind: Node, metadata: {name: paper}}
  - apiVersion: v1
    kind: Pod
    metadata: {name: web-0, namespace: shop}
    spec: {nodeName: paper, containers: [{name: main, image: none}]}
YAML
echo "(No kubelet runs here, so the session itself fails; the API server has allowed and logged it.)"
show kubectl --kubeconfig "$(kubeconfig alice)" exec --namespace shop web-0 -- cat /etc/passwd || true

say "What Tripline made of it"
# The count of an alert is written at most every two seconds: wait until it is what the rule has matched.
counted() {
  local matches count
  matches=$(kubectl get detectionrule exec-into-pod -o 'jsonpath={.status.matches}')
  count=$(kubectl get securityalerts -l tripline.dev/rule=exec-into-pod -o 'jsonpath={.items[0].status.count}')
  [ "${matches:-0}" -gt 0 ] && [ "$matches" = "$count" ]
}
wait_until counted
show kubectl get securityalerts
show kubectl get events --namespace shop
show kubectl get detectionrules,auditsources

if [ -t 0 ] && [ -t 1 ]; then
  say "It stays up until you press Enter. In another terminal:"
  cat <<HELP
  export KUBECONFIG=$KUBECONFIG
  kubectl get securityalerts -o yaml
  kubectl --kubeconfig $(kubeconfig alice) exec -n shop web-0 -- id     # the count goes up
  kubectl edit detectionrule exec-into-pod                              # break the query, and see:
  kubectl describe detectionrule exec-into-pod
  tail -f $folder/operator.log
HELP
  read -r _ || true
fi
say "Stopping"
