#!/usr/bin/env bash
# Builds Alertmanager for the tests, once, and prints the folder that holds it. Progress goes to standard error.
#
#   tests/alertmanager/build.sh
#
# Its module lacks the files of its web page, which are compiled elsewhere: an empty page stands in for them. So it is
# built from a copy of the module, with the versions that its own go.sum names.
set -euo pipefail

version=v0.35.0
sum=h1:nbXMjr+P2JaoFd7aHNDxKifEwTPN+TWxM0gNPonuH5w=

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TRIPLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tripline}/alertmanager
bin=$cache/$(sha256sum <"$here/build.sh" | cut -c1-16)
mkdir -p "$bin"

# Two callers at once build once.
exec 9>"$bin/.lock"
flock 9
if [ ! -x "$bin/alertmanager" ]; then
  command -v go >/dev/null || { echo "go is needed to build alertmanager" >&2; exit 1; }
  echo "building alertmanager $version; the first build takes minutes, later runs reuse it" >&2
  started=$SECONDS
  cd "$bin"
  module=$(go mod download -json "github.com/prometheus/alertmanager@$version")
  field() { sed -n "s|^\s*\"$1\": \"\(.*\)\",\?$|\1|p" <<<"$module"; }
  [ "$(field Sum)" = "$sum" ] || { echo "alertmanager $version is not what it was: $(field Sum)" >&2; exit 1; }
  rm -rf source
  cp -R "$(field Dir)" source
  chmod -R u+w source
  mkdir -p source/ui/app/dist
  echo >source/ui/app/dist/index.html
  (cd source && GOFLAGS="-mod=readonly -buildvcs=false" CGO_ENABLED=0 \
    go build -trimpath -ldflags "-s -w" -o ../.alertmanager.new ./cmd/alertmanager) >&2
  mv .alertmanager.new alertmanager
  rm -rf source
  echo "built alertmanager in $((SECONDS - started)) s" >&2
fi
echo "$bin"
