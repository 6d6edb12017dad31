#!/usr/bin/env bash
# Runs the concurrent tests under the address and the thread sanitizer. LARDER_ROUNDS and LARDER_STRESS_SECONDS make it longer;
# LARDER_SANITIZERS=address|thread runs one of the two.
set -eu
cd "$(dirname "$0")/.."

sources="$(rustc +nightly --print sysroot 2>/dev/null || true)/lib/rustlib/src/rust/library/Cargo.lock"
if [ ! -f "$sources" ]; then
    echo "sanitizers: skipped, as there is no nightly toolchain with sources (rustup +nightly component add rust-src)"
    exit 0
fi
# Without optimization the oracle alone takes a quarter of an hour.
export CARGO_PROFILE_DEV_OPT_LEVEL="${CARGO_PROFILE_DEV_OPT_LEVEL:-1}"
target="$(rustc +nightly -vV | sed -n 's/^host: //p')"
tests=(--test oracle --test concurrency --test regressions --test regressions_sessions --test smoke_unsafe)

run() {
    echo "sanitizers: $1"
    RUSTFLAGS="-Zsanitizer=$1" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/$1" \
        cargo +nightly test -Zbuild-std --target "$target" -p larder-tests "${tests[@]}" "${@:2}"
}

for sanitizer in ${LARDER_SANITIZERS:-address thread}; do
    case $sanitizer in
        # Leaks cannot be told from threads that still run; what matters is use after free.
        address) ASAN_OPTIONS="detect_leaks=0" run address "$@" ;;
        # stacker moves stacks in ways that the thread sanitizer does not follow; tests that need it are left out.
        thread) run thread "$@" -- --skip handles_nested ;;
    esac
done
