#!/usr/bin/env bash
# Builds the programs of a Kubernetes control plane from the module beside this script, once, and prints the
# folder that holds them. Progress goes to standard error.
#
#   tests/controlplane/build.sh [PROGRAM...]      (default: etcd kube-apiserver kubectl)
#
# The folder is ${TRIPLINE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/tripline}/controlplane/HASH, where HASH is over
# go.mod, go.sum and this script: another pin is another folder, and an unchanged one is never built twice.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=("$@")
[ ${#programs[@]} -gt 0 ] || programs=(etcd kube-apiserver kubectl)

cache=${TRIPLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tripline}/controlplane
bin=$cache/$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" | sha256sum | cut -c1-16)
mkdir -p "$bin"

package_of() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    kube-apiserver | kube-controller-manager | kube-scheduler | kubelet | kube-proxy | kubectl) echo "k8s.io/kubernetes/cmd/$1" ;;
    *) echo "no program named $1 in this module" >&2; return 1 ;;
  esac
}

# Without these flags kubectl, every client and every user agent say v0.0.0.
kubernetes=$(sed -n 's|^\s*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' "$here/go.mod")
IFS=. read -r major minor _ <<<"${kubernetes#v}"
ldflags="-s -w"
for version in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  ldflags+=" -X $version.gitVersion=$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor"
done

# Two callers at once build once.
exec 9>"$bin/.lock"
flock 9
for program in "${programs[@]}"; do
  [ -x "$bin/$program" ] && continue
  package=$(package_of "$program")
  command -v go >/dev/null || { echo "go is needed to build $program" >&2; exit 1; }
  echo "building $program ($package, Kubernetes $kubernetes); the first build takes minutes, later runs reuse it" >&2
  started=$SECONDS
  (cd "$here" && GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -trimpath -ldflags "$ldflags" -o "$bin/.$program.new" "$package") >&2
  mv "$bin/.$program.new" "$bin/$program"
  echo "built $program in $((SECONDS - started)) s" >&2
done
echo "$bin"
