#!/usr/bin/env bash
# Compiles the static program of an image: image/compile.sh ARCHITECTURE FILE
#
# ARCHITECTURE is amd64 or arm64, as images name it. The same sources give the same bytes wherever they lie: paths of
# this machine are kept out of the program. What it takes: rustup, and Debian's musl-tools for this machine's own
# architecture, gcc-aarch64-linux-gnu (or gcc-x86-64-linux-gnu) for the other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
architecture=$1 file=$2

case $architecture in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
  *) echo "an image is for amd64 or arm64, not for $architecture" >&2; exit 1 ;;
esac
target=$machine-unknown-linux-musl
if [ "$machine" = "$(uname -m)" ]; then
  compiler=musl-gcc package=musl-tools
else
  # The few C parts need no libc of the other machine.
  compiler=$machine-linux-gnu-gcc package=gcc-${machine/_/-}-linux-gnu
fi
command -v "$compiler" >/dev/null || {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $package" >&2
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >&2
  else
    echo "$compiler is missing: install Debian's $package, or what your distribution calls it" >&2
    exit 1
  fi
}
rustup target list --installed | grep -qx "$target" || rustup target add "$target" >&2

cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
variable=${target//-/_}
export "CC_$variable=$compiler"
export "CFLAGS_$variable=-ffile-prefix-map=$PWD=/src -ffile-prefix-map=$cargo_home=/cargo"
# Rust brings a linker and musl along for every machine. (musl-gcc as the linker makes a program that is not static.)
export "CARGO_TARGET_${variable^^}_LINKER=rust-lld"
export "CARGO_TARGET_${variable^^}_RUSTFLAGS=--remap-path-prefix=$PWD=/src --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust"
cargo build --release --locked --target "$target" --bin tripline >&2
program=${CARGO_TARGET_DIR:-target}/$target/release/tripline
if readelf --program-headers "$program" | grep -q INTERP; then
  echo "$program is not static" >&2
  exit 1
fi
mkdir -p "$(dirname "$file")"
install -m 0755 "$program" "$file"
