#!/usr/bin/env bash
# Fails if `unsafe` stands in a file that docs/architecture.md does not list, or if a listed file holds none any more.
# The list is what stands there between the two markers: one path or pattern a line, in back quotes.
set -eu
cd "$(dirname "$0")/.."

listed=$(sed -n '/<!-- unsafe: begin -->/,/<!-- unsafe: end -->/s/^- `\([^`]*\)`.*/\1/p' docs/architecture.md)
[ -n "$listed" ] || { echo "unsafe: docs/architecture.md lists no files between its markers" >&2; exit 1; }

# Code is what is left when comments, texts and characters have been taken away.
holding=$(git ls-files -z --cached --others --exclude-standard -- '*.rs' | xargs -0 perl -0777 -ne '
    s{ //[^\n]* | /\*.*?\*/ | b?r(\#*)".*?"\1 | b?"(?:\\.|[^"\\])*" | b?\x27(?:\\.[^\x27]*|[^\\\x27])\x27 }{ }gsx;
    print "$ARGV\n" if /\bunsafe\b\s*(?:\{|\(|fn\b|impl\b|trait\b|extern\b)/;
')

status=0
is_listed() {
    local pattern
    while IFS= read -r pattern; do
        # shellcheck disable=SC2254 # a pattern is meant
        case $1 in $pattern) return 0 ;; esac
    done <<<"$listed"
    return 1
}
while IFS= read -r file; do
    if [ -n "$file" ] && ! is_listed "$file"; then
        echo "unsafe: $file holds \`unsafe\`, and docs/architecture.md does not list it" >&2
        status=1
    fi
done <<<"$holding"
while IFS= read -r pattern; do
    found=false
    while IFS= read -r file; do
        # shellcheck disable=SC2254
        case $file in $pattern) found=true ;; esac
    done <<<"$holding"
    if ! $found; then
        echo "unsafe: docs/architecture.md lists $pattern, which holds no \`unsafe\`" >&2
        status=1
    fi
done <<<"$listed"
[ $status -ne 0 ] || echo "unsafe: only in the $(wc -l <<<"$holding") files that docs/architecture.md lists"
exit $status
