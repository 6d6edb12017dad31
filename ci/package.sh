#!/usr/bin/env bash
# Checks that each library and the command can be packaged, and what it would publish: its licence, its page, and no file from outside of it. With
# cargo-semver-checks installed and a release tagged, the public interface is compared with that of the last release.
set -eu
cd "$(dirname "$0")/.."

crates=(larder-storage larder-backend larder-macros larder larder-shared larder-inspect larder-cli)
arguments=()
for crate in "${crates[@]}"; do arguments+=(-p "$crate"); done
cargo package --quiet --allow-dirty --no-verify "${arguments[@]}"
for crate in "${crates[@]}"; do
    # What users read on the crate's page, and may do with it.
    for file in README.md LICENSE-MIT LICENSE-APACHE; do
        cargo package --list --allow-dirty -p "$crate" | grep -qx "$file" || { echo "package: $crate lacks $file"; exit 1; }
    done
done
echo "package: ${crates[*]} can be packaged"

tag=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
if [ -z "$tag" ]; then
    echo "package: no release is tagged, so there is no interface to compare with"
elif cargo semver-checks --version >/dev/null 2>&1; then
    cargo semver-checks --package larder --package larder-storage --baseline-rev "$tag"
else
    echo "package: cargo-semver-checks is not installed; the interface was not compared with $tag"
fi
