#!/usr/bin/env bash
# Tries the engines of the shared cache on real servers, started on this machine by the tests. Installs what is missing if it can, and names
# what it leaves out.
set -eu
cd "$(dirname "$0")/.."

if ! command -v redis-server >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    timeout 120 apt-get install -y redis-server >/dev/null 2>&1 || true
fi
if command -v redis-server >/dev/null; then
    export LARDER_SHARED_SERVERS=1
    cargo test --quiet -p larder-shared --features redis --test engines
    echo "shared-servers: Redis conforms"
else
    cargo check --quiet -p larder-shared --features redis --tests
    echo "shared-servers: left out: Redis (redis-server is not installed)"
fi
echo "shared-servers: left out: S3 and HTTP (there are no such engines yet)"
