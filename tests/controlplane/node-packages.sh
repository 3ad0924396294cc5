#!/usr/bin/env bash
# Installs what the tests need of Debian, where it is missing: for a node containerd and runc, the network plugins, a
# static busybox for images, and ip; for tests/packs.rs jq, whose answers the rules' are held against, and python3,
# which writes the rules; for tests/scenarios.rs curl and openssl. Needs root. No service is left running or enabled by it.
#
#   tests/controlplane/node-packages.sh
set -euo pipefail

wanted=(containerd runc containernetworking-plugins busybox-static iproute2 nftables jq python3 curl openssl)
missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || { echo "installing ${missing[*]} needs root" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "${missing[*]} missing, and there is no apt-get to install them" >&2; exit 1; }

# A package's service is started when the package is configured, unless this program forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install --yes --no-install-recommends "${missing[@]}" >&2; }
# The lists may be too old to know the packages.
install || { apt-get update >&2 && install; }
case " ${missing[*]} " in
  *" containerd "*)
    # Nor is it to start with the machine.
    ! command -v systemctl >/dev/null || systemctl disable containerd >&2 || true
    ;;
esac
