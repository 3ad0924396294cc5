#!/usr/bin/env bash
# The main job on real parts: a Kubernetes, the chart, a kubectl exec, and the alert it raises.
#
#   demo/demo.sh          on a terminal it stays up afterwards, to try things, until Enter or Ctrl-C
#
# As root on Linux it is a whole node: the chart's pods read the API server's log from the host. Elsewhere it is a
# control plane without a node, and the operator runs as a process; what is seen is the same. Everything runs on this
# machine, in one temporary folder, and is stopped and removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# Shows a command as it would be typed, and runs it.
show() { printf '$ %s\n' "$*"; "$@"; }

say "Building (the first time: Kubernetes and the image, some fifteen minutes)"
programs=$(tests/controlplane/build.sh etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet helm)
export PATH="$programs:$PATH"
cargo build --locked --bin tripline --example control-plane
built=${CARGO_TARGET_DIR:-target}/debug
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  tests/controlplane/node-packages.sh || true
fi
if "$built"/examples/control-plane --can-run-node; then
  node=yes
  image/archive.sh
else
  node=
  echo "So there is no node here: the operator runs as a process, and pods are only objects."
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/tripline-demo.XXXXXX")
cleanup() {
  trap - EXIT INT TERM
  # The operator first, so that it ends in order; the cluster ends with its standard input.
  [ -z "${operator:-}" ] || { kill "$operator" 2>/dev/null && wait "$operator" 2>/dev/null; } || true
  exec 3>&- || true
  [ -z "${cluster:-}" ] || wait "$cluster" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# Waits until a command succeeds, at most two minutes.
wait_until() {
  local limit=$((SECONDS + 120))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || { echo "waited in vain for: $*; see the logs in $folder" >&2; trap - EXIT; exit 1; }
    sleep 0.1
  done
}

say "Starting $([ "$node" ] && echo "a Kubernetes of one node" || echo "etcd and kube-apiserver")"
mkfifo "$folder/stdin"
"$built"/examples/control-plane ${node:+--node} "$folder/cluster" <"$folder/stdin" >"$folder/cluster.log" 2>&1 &
cluster=$!
exec 3>"$folder/stdin"
wait_until grep -q '^ready' "$folder/cluster.log"
told() { sed -n "s/^$1 \+//p" "$folder/cluster.log"; }
log=$(told 'audit log')
KUBECONFIG=$(told admin)
export KUBECONFIG HELM_CACHE_HOME=$folder/helm HELM_CONFIG_HOME=$folder/helm HELM_DATA_HOME=$folder/helm

say "Installing the chart"
kubectl label namespace tripline-system pod-security.kubernetes.io/enforce=privileged >/dev/null
values=(--set distribution=custom --set "source.file.path=$log")
if [ "$node" ]; then
  ctr --address "$(told containerd)" --namespace k8s.io images import target/image/tripline.tar
  # The one node there is is the control plane's.
  values+=(--set image.pullPolicy=Never --set "reader.statePath=$folder/cluster/state"
    --set 'tolerations[0].key=node-role.kubernetes.io/control-plane' --set 'tolerations[0].operator=Exists' --wait)
  show helm install tripline charts/tripline --namespace tripline-system "${values[@]}" 2>"$folder/helm.log" ||
    { cat "$folder/helm.log" >&2; exit 1; }
  show kubectl get pods --namespace tripline-system
else
  helm install tripline charts/tripline --namespace tripline-system --take-ownership --set mode=all "${values[@]}" \
    >"$folder/helm.log" 2>&1 || { cat "$folder/helm.log" >&2; exit 1; }
  say "Starting the operator as the chart's account"
  "$built"/tripline run --kubeconfig "$(told tripline)" --node control-plane-1 \
    --state-dir "$folder/state" --log-root "$(dirname "$log")" --listen 127.0.0.1:0 --log-format text \
    2>"$folder/operator.log" &
  operator=$!
fi
kubectl wait --for=condition=Ready auditsources,detectionrules --all --timeout=60s >/dev/null
show kubectl get auditsources
[ -z "$node" ] || show helm test tripline --namespace tripline-system --logs 2>/dev/null

say "Making a pod, and opening a session in it as alice"
kubectl create namespace shop
if [ "$node" ]; then
  wait_until kubectl get serviceaccount default --namespace shop
  container='{name: main, image: "docker.io/library/busybox:test", imagePullPolicy: Never, command: [sleep, "3600"]}'
  where='tolerations: [{operator: Exists}], terminationGracePeriodSeconds: 0'
else
  kubectl create serviceaccount default --namespace shop >/dev/null
  kubectl create -f - >/dev/null <<<'{apiVersion: v1, kind: Node, metadata: {name: paper}}'
  container='{name: main, image: none}'
  where='nodeName: paper'
fi
kubectl create -f - <<YAML
{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop}, spec: {$where, containers: [$container]}}
YAML
if [ "$node" ]; then
  kubectl wait --for=condition=Ready pod/web-0 --namespace shop --timeout=60s >/dev/null
  show kubectl --kubeconfig "$(told alice)" exec --namespace shop web-0 -- cat /etc/passwd
else
  echo "(No kubelet runs here, so the session itself fails; the API server has allowed and logged it.)"
  show kubectl --kubeconfig "$(told alice)" exec --namespace shop web-0 -- cat /etc/passwd || true
fi

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
show kubectl get events --namespace shop --field-selector reason=SecurityAlert
show kubectl get detectionrule/exec-into-pod auditsource/kube-apiserver

if [ -t 0 ] && [ -t 1 ]; then
  say "It stays up until you press Enter. In another terminal:"
  cat <<HELP
  export PATH=$programs:\$PATH KUBECONFIG=$KUBECONFIG
  kubectl get securityalerts -o yaml
  kubectl --kubeconfig $(told alice) exec -n shop web-0 -- id     # the count goes up
  kubectl edit detectionrule exec-into-pod                        # break the query, and see:
  kubectl describe detectionrule exec-into-pod
HELP
  if [ "$node" ]; then
    echo "  kubectl logs -n tripline-system daemonset/tripline-reader"
  else
    echo "  tail -f $folder/operator.log"
  fi
  read -r _ || true
fi
say "Stopping"
