#!/usr/bin/env bash
# Machines share results through a network that delays, hangs, cuts and drips: values are right, no process waits longer than its budget, and
# nothing is left over. LARDER_SOAK_ROUNDS=n rounds (20), or LARDER_SOAK_SECONDS=n: 600 is the soak of ten minutes.
set -eu
cd "$(dirname "$0")/.."

cargo run -p larder-tests --example soak_shared
