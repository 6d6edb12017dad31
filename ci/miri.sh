#!/usr/bin/env bash
# Runs the tests of unsafe code under Miri, with the aliasing model of today (stacked borrows), then with the one to come (tree
# borrows): first a walk that reaches every file of the engine that holds `unsafe`, then regression tests of memory and claims.
#
# LARDER_MIRI_MODELS=stacked|tree runs one of the two. Arguments go to cargo: ci/miri.sh -- cycles:: runs what is named so.
set -eu
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "miri: skipped, as there is no nightly toolchain with it (rustup +nightly component add miri rust-src)"
    exit 0
fi

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"
# A test may leave a thread or a global runtime behind: leaks are not looked for. Sources are files: they need the file system.
common="-Zmiri-ignore-leaks -Zmiri-disable-isolation"
for model in ${LARDER_MIRI_MODELS:-stacked tree}; do
    flags=$common
    [ "$model" = stacked ] || flags="$common -Zmiri-tree-borrows"
    echo "miri: $model borrows, strict provenance"
    export MIRIFLAGS="$flags -Zmiri-strict-provenance"
    # The alarm's thread contends for a lock of parking_lot's, whose words are not of strict provenance.
    strict=("$@")
    [ $# -gt 0 ] || strict=(--)
    cargo +nightly miri test -p larder-backend -p larder-storage --lib "${strict[@]}" --skip alarm
    # parking_lot's and dashmap's own words are not of strict provenance.
    echo "miri: $model borrows"
    export MIRIFLAGS="$flags -Zmiri-permissive-provenance"
    cargo +nightly miri test -p larder-tests --test smoke_unsafe "$@"
    [ $# -eq 0 ] || continue
    cargo +nightly miri test -p larder-tests --test regressions --test regressions_sessions --test regressions_async -- \
        freed collector volatile_task a_task_on suspended_verification in_between_catches forgotten_goes dropped_execution
done
