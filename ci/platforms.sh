#!/usr/bin/env bash
# Checks that the libraries compile for other platforms than the one that tests run on, and with the oldest Rust that is promised.
# Nothing is linked or run; C that a build script would compile for them is left out, so no compiler for it is needed.
#
#   ci/platforms.sh            all of them; what cannot be installed is told and left out
#   ci/platforms.sh TARGET..   these, which have to be there
set -eu
cd "$(dirname "$0")/.."

# TARGET[=CARGO ARGUMENTS]. wasm32 has no files to lock, so it goes without the embedded store.
all=(
    x86_64-pc-windows-gnu
    aarch64-unknown-linux-gnu
    i686-unknown-linux-gnu
    "wasm32-unknown-unknown=--no-default-features"
)
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# A directory of its own: the features of what is shared with other builds differ.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/platforms
missing=()

check() {
    local target=${1%%=*} arguments=()
    [ "$1" = "$target" ] || read -ra arguments <<<"${1#*=}"
    local name=${target//-/_}
    export "CC_$name=true" "AR_$name=true"
    cargo check --quiet -p larder --target "$target" "${arguments[@]}"
    echo "platforms: the libraries compile for $target ${arguments[*]}"
}

if [ $# -gt 0 ]; then
    for target in "$@"; do check "$target"; done
    exit
fi
for entry in "${all[@]}"; do
    target=${entry%%=*}
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || timeout 120 rustup target add "$target" >/dev/null 2>&1; then
        check "$entry"
    else
        missing+=("$target")
    fi
done
if cargo "+$oldest" --version >/dev/null 2>&1 || timeout 180 rustup toolchain install "$oldest" --profile minimal >/dev/null 2>&1; then
    cargo "+$oldest" check --quiet -p larder
    echo "platforms: the libraries compile with Rust $oldest"
else
    missing+=("Rust $oldest")
fi
if [ ${#missing[@]} -gt 0 ]; then echo "platforms: left out, as they cannot be installed here: ${missing[*]}"; fi
