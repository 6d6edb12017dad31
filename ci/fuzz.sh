#!/usr/bin/env bash
# Runs the fuzz targets for a while: by cargo-fuzz if it and a nightly toolchain are there, otherwise their functions over
# seeded mutations, on stable (LARDER_FUZZ_STABLE=1 asks for that). LARDER_FUZZ_SECONDS is how long each of the four runs by
# cargo-fuzz (5); without it LARDER_FUZZ_TRIES says how many mutations are tried, in thousandths of the default (5000).
# LARDER_FUZZ_CORPUS=dir begins with the inputs there and keeps what was found; without it a run begins with the seeds alone.
# An input that breaks something is left in fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."

seconds=${LARDER_FUZZ_SECONDS:-5}
if [ -n "${LARDER_FUZZ_STABLE:-}" ] || ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    tries=${LARDER_FUZZ_TRIES:-5000}
    echo "fuzz: without cargo-fuzz: seeded mutations, $tries thousandths of the default"
    LARDER_FUZZ_TRIES=$tries exec cargo test -p larder-tests --test fuzz -- --nocapture "$@"
fi

corpus=${LARDER_FUZZ_CORPUS:-}
if [ -z "$corpus" ]; then
    corpus=$(mktemp -d)
    trap 'rm -rf "$corpus"' EXIT
fi
mkdir -p "$corpus"
corpus=$(cd "$corpus" && pwd)
LARDER_FUZZ_TRIES=0 LARDER_FUZZ_CORPUS=$corpus cargo test --quiet -p larder-tests --test fuzz
cargo +nightly fuzz build --features libfuzzer

broken=()
for target in codec records sealed_store store_file; do
    echo "fuzz: $target, $seconds s"
    # Scripts of changes are worth something at any length: libFuzzer need not begin with short ones.
    case $target in
        sealed_store | store_file) lengths=(-max_len=600 -len_control=0) ;;
        *) lengths=() ;;
    esac
    cargo +nightly fuzz run --features libfuzzer "$target" "$corpus/$target" -- "${lengths[@]}" -print_final_stats=1 \
        -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10 || broken+=("$target")
done
[ ${#broken[@]} -eq 0 ] || { echo "fuzz: broken: ${broken[*]}; the inputs are in fuzz/artifacts" >&2; exit 1; }
