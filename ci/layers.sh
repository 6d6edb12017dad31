#!/usr/bin/env bash
# Fails if a file of the engine imports from a folder above its own. The folders are layers, in the order of the modules in
# backend/src/lib.rs, lowest first. Exceptions stand in the list below, each with its reason; the list may only shrink.
#
# `ci/layers.sh --count` prints how many imports there are between folders, and how many of them run upward.
set -eu
cd "$(dirname "$0")/../backend/src"

# FILE FOLDER: the file may import from the folder.
exceptions='
# An engine owns what is on its way out of it; only `session/reclaim` knows how that goes.
context/engine.rs session
'

layers=$(sed -n 's/^\(pub(crate) \)\{0,1\}mod \([a-z]*\);.*/\2/p' lib.rs | grep -v '^model$')

# Code is what is left when comments, texts and the unit tests at the end of a file have been taken away.
imports=$(find . -name '*.rs' ! -path './model*' ! -name lib.rs -printf '%P\0' | sort -z | xargs -0 perl -0777 -ne '
    s{\n\#\[cfg\(test\)\]\nmod tests \{.*}{}s;
    s{ //[^\n]* | /\*.*?\*/ | b?r(\#*)".*?"\1 | b?"(?:\\.|[^"\\])*" }{ }gsx;
    my ($own) = $ARGV =~ m{^([a-z]+)};
    my %seen;
    # `crate::graph::..`, and each name of `crate::{..}`.
    while (/\bcrate::(?:([a-z_]+)\b|\{((?:[^{}]|\{[^{}]*\})*)\})/g) {
        for my $folder (defined $1 ? $1 : $2 =~ /(?:^|,)\s*([a-z_]+)/g) {
            print "$ARGV $own $folder\n" if $folder ne $own && !$seen{$folder}++;
        }
    }
')

printf '%s\n' "$imports" | awk -v layers="$layers" -v exceptions="$exceptions" -v count="${1:-}" '
    BEGIN {
        n = split(layers, names, "\n"); for (i = 1; i <= n; i++) rank[names[i]] = i
        n = split(exceptions, lines, "\n")
        for (i = 1; i <= n; i++) if (lines[i] !~ /^#/ && lines[i] != "") { allowed[lines[i]] = 1; listed++ }
    }
    ($2 in rank) && ($3 in rank) {
        between++
        if (rank[$3] <= rank[$2]) next
        upward++
        key = $1 " " $3
        if (key in allowed) { used[key] = 1; next }
        printf "layers: backend/src/%s imports from `%s`, which stands above `%s`\n", $1, $3, $2 > "/dev/stderr"
        bad = 1
    }
    END {
        for (key in allowed) if (!(key in used)) {
            printf "layers: the exception \"%s\" is not needed any more\n", key > "/dev/stderr"; bad = 1
        }
        if (count == "--count") printf "%d times a file imports from another folder, %d of them upward\n", between, upward
        else if (!bad) printf "layers: imports between folders run one way, but for %d exceptions\n", listed
        exit bad
    }
'
