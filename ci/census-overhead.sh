#!/usr/bin/env bash
# What memoization costs the census when nothing is cached yet: the program with its attributes against the same program
# without (--plain), whole processes, in turns. Exits with 1 if the median of wall time is more than 10 % higher. Both run on
# one thread, so that on a machine with other work CPU time tells more than wall time.
#
# Usage: ci/census-overhead.sh [RUNS [PATH]...]     default: 7 runs, on the sources in cargo's registry folder
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-7}
shift || true
paths=("$@")
[ ${#paths[@]} -gt 0 ] || paths=("${CARGO_HOME:-$HOME/.cargo}/registry/src")

cargo build --quiet --release -p larder --example census
census=${CARGO_TARGET_DIR:-target}/release/examples/census

# Prints the name of a side, then seconds: elapsed, in user mode, in the kernel.
TIMEFORMAT='%3R %3U %3S'
timed() {
    local side=$1
    shift
    echo "$side $({ time "$census" "${paths[@]}" "$@" >/dev/null 2>&1; } 2>&1)"
}

# Once for the page cache.
timed plain --plain >/dev/null
for _ in $(seq "$runs"); do
    timed larder --no-cache --threads 1
    timed plain --plain
done | awk '
    function median(of, n,    i, j, swap) {
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && of[j - 1] > of[j]; j--) { swap = of[j]; of[j] = of[j - 1]; of[j - 1] = swap }
        return n % 2 ? of[(n + 1) / 2] : (of[n / 2] + of[n / 2 + 1]) / 2
    }
    function row(name, with, without, n,    a, b) {
        a = median(with, n); b = median(without, n)
        printf "%-5s larder %7.3f s   plain %7.3f s   %+6.1f %%   (least %.3f and %.3f)\n",
            name, a, b, (a / b - 1) * 100, with[1], without[1]
        return a / b
    }
    $1 == "larder" { n++; wall_with[n] = $2; cpu_with[n] = $3 + $4 }
    $1 == "plain" { wall_without[n] = $2; cpu_without[n] = $3 + $4 }
    END {
        printf "medians of %d\n", n
        ratio = row("wall", wall_with, wall_without, n)
        row("cpu", cpu_with, cpu_without, n)
        exit ratio > 1.10
    }
'
