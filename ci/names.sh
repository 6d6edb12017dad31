#!/usr/bin/env bash
# Fails if a comment or a page names a file of this repository, or a section of a page, that is not there.
#
# A file is named by its path, or by the end of it: `cycle/read.rs` is there if some file ends in `/cycle/read.rs`. Sections are
# named in links, or by their number. Pages that quote programs of users name files of theirs; these stand in the list below.
set -eu
cd "$(dirname "$0")/.."

# Names that stand for files of users, of other projects, or of the system.
foreign='
build.rs nowhere.md index.md lib.rs main.rs mod.rs page.md notes.md a.md b.md c.md x.md new.md Cargo.toml rust-toolchain.toml clippy.toml site.toml a.toml config.toml a.rs
'

git ls-files --cached --others --exclude-standard >/tmp/names.$$
trap 'rm -f /tmp/names.$$' EXIT

perl - "$foreign" /tmp/names.$$ <<'PERL'
use strict; use warnings;
my ($foreign, $list) = @ARGV;
my %foreign = map { $_ => 1 } split ' ', $foreign;
open my $names, '<', $list or die $!;
my @files = map { chomp; $_ } <$names>;
my %ends;
for my $file (@files) {
    my @parts = split m{/}, $file;
    $ends{join '/', @parts[$_ .. $#parts]} = 1 for 0 .. $#parts;
}
# The headings of a page, as links name them.
sub anchors {
    my ($page) = @_;
    open my $in, '<', $page or return {};
    my %anchors;
    for (<$in>) {
        next unless /^#+\s+(.*)/;
        my $anchor = lc $1;
        $anchor =~ s/[^\w\- ]//g;
        $anchor =~ s/ /-/g;
        $anchors{$anchor} = 1;
    }
    return \%anchors;
}
my $bad = 0;
sub complain { print STDERR "names: $_[0]\n"; $bad = 1 }
for my $file (@files) {
    next unless $file =~ /\.(rs|md|sh)$/ && $file !~ m{^(docs/decisions/|CHANGELOG|tests/ui/)};
    open my $in, '<', $file or next;
    my $in_code = 0;
    while (my $line = <$in>) {
        if ($file =~ /\.md$/) {
            $in_code = !$in_code, next if $line =~ /^```/;
        } elsif ($file =~ /\.rs$/) {
            next unless $line =~ s{^.*?//}{//};
        } else {
            next unless $line =~ /^\s*#/;
        }
        (my $text = $line) =~ s{https?://\S+}{}g;
        while ($text =~ m{(?<![\w./<\$*-])((?:\.\./)*[\w-]+(?:/[\w.-]+)*\.(?:rs|md|sh|toml))\b(?:#([\w-]+))?}g) {
            my ($name, $anchor) = ($1, $2);
            (my $plain = $name) =~ s{^(\.\./)+}{};
            next if $foreign{$plain};
            unless ($ends{$plain}) { complain("$file:$.: `$name` is not there"); next }
            next unless defined $anchor;
            my ($page) = grep { $_ eq $plain || m{/\Q$plain\E$} } @files;
            complain("$file:$.: `$name` has no section `$anchor`") unless anchors($page)->{$anchor};
        }
        # A section of a standard ("RFC 3986, section 5") is not ours.
        if ($text =~ /\bsections? (\d+)/ && $text !~ /RFC/) {
            my $number = $1;
            my ($page) = $text =~ m{([\w/-]+\.md)};
            ($page) = grep { $_ eq $page || m{/\Q$page\E$} } @files if defined $page;
            $page = $file unless defined $page;
            complain("$file:$.: $page has no section $number") unless grep { /^$number-/ } keys %{ anchors($page) };
        }
    }
}
exit $bad;
PERL
echo "names: every file and section that comments and pages name is there"
