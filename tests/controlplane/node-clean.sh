#!/usr/bin/env bash
# Takes away what a node of the tests put on this machine: processes, mounts, addresses, settings, files.
#
#   tests/controlplane/node-clean.sh STATE
#
# STATE is the file that the test wrote before it changed anything (tests/support/node/machine.rs), one thing a line.
# An empty one says that nothing is left, and it is emptied at the end. Whoever runs this holds the lock on it.
set -uo pipefail

state=$1
[ -s "$state" ] || exit 0
failed=0
complain() {
  echo "$*" >&2
  failed=1
}
said() { sed -n "s|^$1 ||p" "$state"; }
folder=$(said folder)
mapfile -t groups < <(said group)

# Everything runs in the node's control groups: servers, the shims that containerd leaves on its own, the pods.
# A 0 is a process of another process namespace, and to kill it would be to kill oneself.
processes() { find "${groups[@]}" -name cgroup.procs -exec cat {} + 2>/dev/null | grep -vx 0 | sort -u; }
for _ in {1..200}; do
  mapfile -t pids < <(processes)
  [ ${#pids[@]} -gt 0 ] || break
  kill -KILL "${pids[@]}" 2>/dev/null
  sleep 0.05
done
[ -z "$(processes)" ] || complain "these processes of the node could not be killed: $(processes | tr '\n' ' ')"

# Deepest first. The kubelet mounts its root folder onto itself, volumes below it; containerd mounts the containers'
# file systems and network namespaces.
mounts() { awk -v below="$folder/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r; }
for _ in {1..10}; do
  mapfile -t mounted < <(mounts)
  [ ${#mounted[@]} -gt 0 ] || break
  umount --lazy -- "${mounted[@]}" 2>/dev/null
done
[ -z "$(mounts)" ] || complain "these are still mounted: $(mounts | tr '\n' ' ')"

# A pod's network device goes with its namespace, but some time after.
while read -r range; do
  for device in $(ip -o route show root "$range" | sed -n 's|.* dev \(veth[^ ]*\).*|\1|p' | sort -u); do
    ip link delete "$device" 2>/dev/null
  done
done < <(said range)
while read -r address; do
  ip address delete "$address/32" dev lo 2>/dev/null
done < <(said address)
while read -r family table; do
  nft delete table "$family" "$table" 2>/dev/null
done < <(said table)
# After all that might send something there.
while read -r range; do
  ip route delete "$range" 2>/dev/null
done < <(said range)

while read -r name value; do
  echo "$value" >"/proc/sys/$name" || complain "the setting $name could not be set back to $value"
done < <(said setting)

# Where nobody can tell kubelet, containerd and the network plugins to write elsewhere.
for task in "$folder"/node/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/; do
  [ -f "$task/address" ] && rm -f -- "$(sed 's|^unix://||' "$task/address")"
  rm -f -- "/var/lib/cni/results/cni-loopback-$(basename "$task")-lo"
done
rm -f -- /var/lib/cni/results/tripline-node-*
[ ! -d /var/log/containers ] || find /var/log/containers -lname "$folder/*" -delete
while read -r path; do
  [ -d "$path" ] || continue
  [ "$path" != /var/lib/kubelet ] || rm -f -- "$path/device-plugins/kubelet.sock"
  find "$path" -xdev -depth -type d -empty -delete
done < <(said absent)

for group in "${groups[@]}"; do
  for _ in {1..40}; do
    [ -d "$group" ] || break
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    sleep 0.05
  done
  [ ! -d "$group" ] || complain "the control group $group could not be removed"
done

[ $failed -eq 0 ] || exit 1
: >"$state"
