#!/usr/bin/env bash
# Explores the protocols of claims, gate, wait graph and handles with shuttle. LARDER_SCHEDULES=n explores n schedules of each.
set -eu
cd "$(dirname "$0")/.."

# A target directory of its own: the flag rebuilds everything.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/model"
RUSTFLAGS="${RUSTFLAGS:-} --cfg larder_model" cargo test -p larder-backend --release --lib model:: "$@"
