#!/usr/bin/env bash
# What the census costs with a cache: the first run, a second one, one after a file was edited, and the program without
# Larder; whole processes, medians of wall time. Exits with 1 if the second run is less than 20 x faster than the first, or
# the one after an edit takes more than 2 x as long as the second.
#
# Usage: ci/census-runs.sh [RUNS [PATH]...]     default: 5 runs, on a copy of the sources in cargo's registry folder
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-5}
shift || true
paths=("$@")
[ ${#paths[@]} -gt 0 ] || paths=("${CARGO_HOME:-$HOME/.cargo}/registry/src")

cargo build --quiet --release -p larder --example census
census=${CARGO_TARGET_DIR:-target}/release/examples/census

# A copy, because a file of it is edited; long ago, as a tree is that somebody works on: what was written just now is read again
# whatever its stamp says.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
cp -r "${paths[@]}" "$work/tree"
find "$work/tree" -exec touch -d '1 hour ago' {} +
edited=$(find "$work/tree" -name lib.rs -size +8k | sort | head -n 1)

# Prints the name of a run and the seconds that it took; what it said of its work goes to $work/said.
TIMEFORMAT='%3R'
timed() {
    local name=$1
    shift
    echo "$name $({ time "$census" "$work/tree" "$@" >"$work/report" 2>"$work/said"; } 2>&1)"
}

timed plain --plain >/dev/null
for round in $(seq "$runs"); do
    timed plain --plain
    rm -rf "$work/cache"
    timed first --cache "$work/cache"
    timed second --cache "$work/cache"
    grep -q 'bodies run: *0\b' "$work/said" || { echo "the second run ran bodies:" >&2; cat "$work/said" >&2; exit 1; }
    echo "pub fn edited_in_round_$round() {}" >>"$edited"
    timed edited --cache "$work/cache"
    "$census" "$work/tree" --plain >"$work/plain" 2>/dev/null
    cmp -s "$work/plain" "$work/report" || { echo "the report after an edit is not that of the plain program" >&2; exit 1; }
done >"$work/times"
cat "$work/said" | sed 's/^/after an edit: /' | head -n 4
du -sh "$work/cache" | awk '{ print "cache: " $1 }'
awk '
    function median(name,    n, i, j, swap, of) {
        n = count[name]
        for (i = 1; i <= n; i++) of[i] = seconds[name, i]
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && of[j - 1] > of[j]; j--) { swap = of[j]; of[j] = of[j - 1]; of[j - 1] = swap }
        return n % 2 ? of[(n + 1) / 2] : (of[n / 2] + of[n / 2 + 1]) / 2
    }
    { seconds[$1, ++count[$1]] = $2 }
    END {
        first = median("first"); second = median("second"); edited = median("edited")
        printf "medians of %d: plain %.3f s, first run %.3f s, second run %.3f s, one file edited %.3f s\n",
            count["first"], median("plain"), first, second, edited
        printf "the second run is %.0f x faster than the first; after an edit it takes %.2f x as long as the second\n",
            first / second, edited / second
        exit first / second < 20 || edited / second > 2
    }
' "$work/times"
