#!/usr/bin/env bash
# Drives the inspector's page in headless Chromium through clicks and keys: over a store that census makes, and over a running program.
#
#   ci/inspector.sh [SCREENSHOTS]     screenshots are kept in that folder
#
# Without chromium or node it says so, and is no failure.
set -eu
cd "$(dirname "$0")/.."
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$CHROMIUM" ] || ! command -v node >/dev/null; then
    echo "inspector: skipped, as there is no chromium, or no node to drive it"
    exit 0
fi
export CHROMIUM
folder=$(mktemp -d)
started=()
finish() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap finish EXIT

cargo build --quiet -p larder-cli -p larder-inspect --example live --bin larder
cargo run --quiet -p larder --example census -- --cache "$folder/cache" --base . runtime >/dev/null
store=$(find "$folder/cache" -name '*.redb' | head -1)
target=${CARGO_TARGET_DIR:-target}/debug
"$target/larder" serve "$store" --base . >"$folder/store" &
started+=($!)
"$target/examples/live" >"$folder/program" &
started+=($!)
for page in store program; do
    until [ -s "$folder/$page" ]; do sleep 0.1; done
done
mkdir -p "${1:-$folder/shots}"
node ci/inspector.mjs "$(head -1 "$folder/store")" "$(head -1 "$folder/program")" "${1:-$folder/shots}"
