#!/usr/bin/env bash
# Fails if comments leave the plain English that CONTRIBUTING.md asks for: code is never "who", "whoever", "nobody" or "somebody",
# and no sentence begins with "What", "That of", "Those of" or "The same". A few words may stay where they are meant, as of people.
#
# `ci/language.sh --list` prints the lines.
set -eu
cd "$(dirname "$0")/.."
allowed=2

found=$(git ls-files '*.rs' | grep -v '^tests/ui/' | xargs perl -ne '
    my $at = "$ARGV:$.";
    close ARGV if eof;
    next unless m{^\s*//[/!]?\s?(.*)$} || m{^[^"]*\s//\s(.*)$};
    my $text = $1;
    print "$at: $text\n"
        if $text =~ /\b(who|whoever|whomever|nobody|somebody|everybody)\b/i || $text =~ /(?:^|[.:!?] )(What|That of|Those of|The same) /;
')
count=$(printf '%s' "$found" | grep -c . || true)
if [ "${1:-}" = --list ]; then printf '%s\n' "$found"; fi
if [ "$count" -gt "$allowed" ]; then
    printf '%s\n' "$found" >&2
    echo "language: $count lines of comments leave the rules of CONTRIBUTING.md; $allowed may" >&2
    exit 1
fi
echo "language: $count lines of comments leave the rules of CONTRIBUTING.md; $allowed may"
