#!/usr/bin/env bash
# Writes the image as an archive, without a container engine or a registry: image/archive.sh [ARCHITECTURE]
#
# The archive, target/image/tripline.tar (tripline-ARCHITECTURE.tar for another than this machine's), is an OCI layout
# with Docker's manifest beside it, so that `ctr images import`, `kind load image-archive`, `docker load` and
# `podman load` take it. The image is what the Dockerfile describes. Two runs over one commit write the same bytes.
# Beside it, where cargo-cyclonedx is installed, the bill of materials of the program, tripline.cdx.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case $(uname -m) in
  x86_64) own=amd64 ;;
  aarch64) own=arm64 ;;
  *) own= ;;
esac
architecture=${1:-$own}
name=docker.io/library/tripline:dev
folder=target/image
archive=$folder/tripline.tar
[ "$architecture" = "$own" ] || archive=$folder/tripline-$architecture.tar
layout=$folder/layout-$architecture
rm -rf "$layout"
mkdir -p "$layout/blobs/sha256" "$layout/files"
layout=$(cd "$layout" && pwd)

image/compile.sh "$architecture" "$layout/files/tripline"

# The commit's own time, so that the image says how old its sources are and still comes out the same.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
pack() { tar --create --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "$@"; }
digest_of() { sha256sum "$1" | cut -d' ' -f1; }
size_of() { stat --format=%s "$1"; }
# Moves a file in among the blobs, and gives its digest.
blob() {
  local digest
  digest=$(digest_of "$1")
  mv "$1" "$layout/blobs/sha256/$digest"
  echo "$digest"
}

pack --file="$layout/layer.tar" --directory="$layout/files" tripline
layer_content=$(digest_of "$layout/layer.tar")
gzip --no-name --best "$layout/layer.tar"
layer_size=$(size_of "$layout/layer.tar.gz")
layer=$(blob "$layout/layer.tar.gz")

cat >"$layout/config" <<JSON
{"created":"$created","architecture":"$architecture","os":"linux","config":{"User":"65532:65532","Entrypoint":["/tripline"],"Cmd":["run"],"WorkingDir":"/","Labels":{"org.opencontainers.image.title":"tripline","org.opencontainers.image.description":"Detection rules over the Kubernetes audit log","org.opencontainers.image.licenses":"Apache-2.0","org.opencontainers.image.version":"$version","org.opencontainers.image.revision":"$revision","org.opencontainers.image.created":"$created"}},"rootfs":{"type":"layers","diff_ids":["sha256:$layer_content"]},"history":[{"created":"$created","created_by":"COPY tripline /tripline"}]}
JSON
config_size=$(size_of "$layout/config")
config=$(blob "$layout/config")
cat >"$layout/manifest" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$config_size},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$layer_size}]}
JSON
manifest_size=$(size_of "$layout/manifest")
manifest=$(blob "$layout/manifest")
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
cat >"$layout/index.json" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest","size":$manifest_size,"platform":{"os":"linux","architecture":"$architecture"},"annotations":{"io.containerd.image.name":"$name","org.opencontainers.image.ref.name":"dev"}}]}
JSON
echo '[{"Config":"blobs/sha256/'"$config"'","RepoTags":["'"${name#docker.io/library/}"'"],"Layers":["blobs/sha256/'"$layer"'"]}]' >"$layout/manifest.json"

pack --file="$archive" --directory="$layout" blobs index.json manifest.json oci-layout
if command -v cargo-cyclonedx >/dev/null; then
  bill=${archive%.tar}.cdx.json
  cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --no-build-deps \
    --target "$(case $architecture in amd64) echo x86_64 ;; arm64) echo aarch64 ;; esac)-unknown-linux-musl"
  # The checkout's own place is nobody's business, and differs.
  sed "s|file://$PWD|file:///src|g" tripline_bin.cdx.json >"$bill"
  rm tripline_bin.cdx.json
fi
program_size=$(size_of "$layout/files/tripline")
rm -rf "$layout"
echo "$archive: $name for linux/$architecture, sha256:$manifest"
echo "program $((program_size / 1000)) kB, image $((layer_size / 1000)) kB compressed"
