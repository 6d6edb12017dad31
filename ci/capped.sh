#!/usr/bin/env bash
# Runs tests with a cap of 0 on the memory of every runtime that names none: between sessions all goes that nothing reads or holds. These are
# tests of values, of waiting and of what the macro makes. Others count which bodies run, and a cap changes that; to read what they say:
# ci/capped.sh --no-fail-fast --test changes
set -eu
cd "$(dirname "$0")/.."

# A target directory of its own: the flag rebuilds everything.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/capped"
values=(--test concurrency --test gate --test macro_async --test macro_free_functions --test macro_methods)
[ $# -gt 0 ] || set -- "${values[@]}"
RUSTFLAGS="${RUSTFLAGS:-} --cfg larder_capped" cargo test -p larder-tests "$@"
