#!/usr/bin/env bash
# Runs all tests with a cap of 0 on the memory of every runtime that names none: between sessions all goes that nothing reads or holds. Values,
# errors and waits have to be the same. Tests that count what a cap changes (bodies, hits, tasks in memory) are listed in ci/capped.txt,
# with the reason; one that fails and is not listed there fails this. With arguments: ci/capped.sh --test changes
set -eu
cd "$(dirname "$0")/.."

# A target directory of its own: the flag rebuilds everything.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/capped"
# An expected failure need not be made smaller.
export LARDER_SHRINK="${LARDER_SHRINK:-0}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# These count while a thread ends, where a failed assertion is an abort; and `speed` takes very long without a cache.
skipped=(--skip a_runtime_may_be_used_while_its_thread_ends --skip what_a_thread_does_while_it_ends_is_counted --skip speed)
[ $# -gt 0 ] || set -- --tests
RUSTFLAGS="${RUSTFLAGS:-} --cfg larder_capped" cargo test -p larder-tests --no-fail-fast "$@" -- "${skipped[@]}" 2>&1 | tee "$log" || true
awk '/^ *Running tests\//{sub(/^ *Running tests\//, ""); sub(/(\/main)?\.rs.*/, ""); file = $0} /^test .* FAILED$/{print file, $2}' "$log" | sort -u >"$log.failed"
grep -v '^#' ci/capped.txt | sort -u >"$log.listed"
unlisted=$(comm -23 "$log.failed" "$log.listed")
failed=$(wc -l <"$log.failed")
rm -f "$log.failed" "$log.listed"
if grep -q '(signal: ' "$log"; then
    echo "capped: a test has ended its process"
    exit 1
elif grep -q '^error: could not compile' "$log" || ! grep -q '^test result' "$log"; then
    echo "capped: the tests did not run"
    exit 1
elif [ -n "$unlisted" ]; then
    echo "capped: these fail with a cap of 0, and are not in ci/capped.txt:"
    echo "$unlisted"
    exit 1
fi
echo "capped: $failed tests count what a cap changes, as ci/capped.txt lists; all others pass"
