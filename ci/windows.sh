#!/usr/bin/env bash
# Checks that the libraries compile for Windows, whose own code (stamps of files, names of paths) is compiled nowhere else. Nothing is
# linked or run; what a build script compiles for that system is left out, so no compiler for it is needed.
#
# Exits with 77 if the target's standard library is not installed: rustup target add x86_64-pc-windows-gnu
set -eu
cd "$(dirname "$0")/.."

target=x86_64-pc-windows-gnu
[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || { echo "windows: the target $target is not installed"; exit 77; }

export CC_x86_64_pc_windows_gnu=true AR_x86_64_pc_windows_gnu=true
# A directory of its own: the features of what is shared with other builds differ.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/windows
cargo check --quiet -p larder --target "$target"
cargo clippy --quiet -p larder --target "$target" -- -D warnings
echo "windows: the libraries compile for $target"
