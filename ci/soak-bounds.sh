#!/usr/bin/env bash
# Keys, inputs and results of ten times the caps on memory and store go through in each of a hundred rounds, or LARDER_SOAK_ROUNDS: live
# bytes, bytes on disk, descriptors and threads of the last rounds have to be those of the first.
set -eu
cd "$(dirname "$0")/.."

export LARDER_SOAK_ROUNDS="${LARDER_SOAK_ROUNDS:-100}"
cargo run -p larder-tests --example soak_bounds
