# shellcheck shell=sh disable=SC2034 # what is set here is used by those that source it
# What the scripts share: sections, loud skips, and where things are. Sourced, never run.

set -eu
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
begun=$(date +%s)
skipped=

section() {
    printf '\n==== %s  [%ss]\n' "$*" "$(($(date +%s) - begun))"
}

# A skip is told where it happens and once more at the end.
skip() {
    printf '\n!!!! SKIPPED: %s\n' "$*"
    skipped="$skipped
!!!! SKIPPED: $*"
}

finish() {
    [ -z "$skipped" ] || printf '%s\n' "$skipped"
    printf '\n==== %s  [%ss]\n' "$1" "$(($(date +%s) - begun))"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Whether node is here and new enough for the fixture's vite and vitest.
have_node() {
    have npm && have node && node -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);'
}
