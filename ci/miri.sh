#!/usr/bin/env bash
# Runs the tests of unsafe code under Miri, with the aliasing model of today and the one to come, and with strict provenance.
set -eu
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "miri: skipped, as there is no nightly toolchain with it (rustup +nightly component add miri rust-src)"
    exit 0
fi

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"
# Nobody who forgets a thread or a global runtime is to be blamed for a leak.
common="-Zmiri-ignore-leaks"
for flags in "-Zmiri-strict-provenance" "-Zmiri-strict-provenance -Zmiri-tree-borrows"; do
    export MIRIFLAGS="$common $flags"
    echo "miri: $MIRIFLAGS"
    cargo +nightly miri test -p larder-backend --lib "$@"
    # parking_lot's and dashmap's own words are not of strict provenance.
    export MIRIFLAGS="$common ${flags/-Zmiri-strict-provenance/-Zmiri-permissive-provenance}"
    cargo +nightly miri test -p larder-tests --test smoke_unsafe "$@"
    cargo +nightly miri test -p larder-tests --test regressions --test regressions_sessions "$@" -- freed collector volatile_task innocent a_task_on
done
