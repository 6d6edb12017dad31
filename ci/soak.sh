#!/usr/bin/env bash
# Everything at once and at random for ten minutes, or LARDER_SOAK_SECONDS; then nothing may be left over: no task, claim,
# execution, wait, future, thread or byte. LARDER_SEED=n begins with a seed that an earlier run has printed.
set -eu
cd "$(dirname "$0")/.."

export LARDER_SOAK_SECONDS="${LARDER_SOAK_SECONDS:-600}"
cargo run --release -p larder-tests --example soak
