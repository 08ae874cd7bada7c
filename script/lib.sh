# What the scripts share. Sourced by each of them; runs nothing of its own.
# shellcheck shell=bash disable=SC2034 # the tools are used there

set -euo pipefail
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DIESEL=$PWD/target/tools/bin/diesel
DIESEL_GUARD=$PWD/target/tools/bin/diesel-guard
CARGO_DENY=$PWD/target/tools/bin/cargo-deny

# The scripts name the binaries that they build, so they decide where those lie.
export CARGO_TARGET_DIR=$PWD/target
unset CARGO_BUILD_TARGET

# rustup's installer changes PATH only for shells that start later.
PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin

fail() {
    printf '%s: %s\n' "$0" "$1" >&2
    exit 1
}
