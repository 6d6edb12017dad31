#!/usr/bin/env bash
# Runs the fuzz targets for a while: by cargo-fuzz if it and a nightly toolchain are there, otherwise their functions over
# seeded mutations, on stable. LARDER_FUZZ_SECONDS is how long each of the four runs (5).
set -eu
cd "$(dirname "$0")/.."

seconds=${LARDER_FUZZ_SECONDS:-5}
if [ -n "${LARDER_FUZZ_STABLE:-}" ] || ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "fuzz: without cargo-fuzz: seeded mutations, $seconds s for each target"
    LARDER_FUZZ_SECONDS=$seconds exec cargo test -p larder-tests --test fuzz -- --nocapture "$@"
fi

corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
LARDER_FUZZ_SECONDS=0 LARDER_FUZZ_CORPUS=$corpus cargo test -q -p larder-tests --test fuzz >/dev/null 2>&1 || true
for target in codec records sealed_store store_file; do
    mkdir -p "$corpus/$target"
    echo "fuzz: $target, $seconds s"
    cargo +nightly fuzz run --features libfuzzer "$target" "$corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10
done
