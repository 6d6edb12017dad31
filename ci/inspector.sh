#!/usr/bin/env bash
# Drives the inspector's page in headless Chromium through clicks and keys: over a store that census makes, a running program, and a
# service while it answers.
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

cargo build --quiet -p larder-cli -p larder-inspect -p service --example live --bin larder --bin service
cargo run --quiet -p larder --example census -- --cache "$folder/cache" --base . runtime >/dev/null
store=$(find "$folder/cache" -name '*.redb' | head -1)
target=${CARGO_TARGET_DIR:-target}/debug
"$target/larder" serve "$store" --base . >"$folder/store" &
started+=($!)
"$target/examples/live" >"$folder/program" &
started+=($!)
"$target/service" --port 0 --inspect 0 --store "$folder/shop.redb" 2>"$folder/service" &
started+=($!)
for page in store program service; do
    until grep -q token "$folder/$page"; do sleep 0.1; done
done
mkdir -p "${1:-$folder/shots}"
service=$(head -1 "$folder/service")
node ci/inspector.mjs "$(head -1 "$folder/store")" "$(head -1 "$folder/program")" "$(grep token "$folder/service")" "${service%%/products*}" "${1:-$folder/shots}"
