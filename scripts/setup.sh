#!/bin/sh
# Make .venv from nothing but a Python, and fill it with exactly what requirements/dev.txt names.
# `make setup` runs this; PYTHON=/path/to/python chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."

missing=0
need() { # what is missing, how to get it
    printf 'vai: %s\n     %s\n' "$1" "$2" >&2
    missing=1
}

# Each candidate is run: a pyenv shim exists for versions that are not there, and Debian's python3
# comes without ensurepip.
find_python() {
    too_old='' no_pip=''
    for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        found=$("$candidate" -c 'import sys; print(sys.implementation.name, *sys.version_info[:2])' 2>/dev/null) || continue
        # shellcheck disable=SC2086 # three words
        set -- $found
        if [ "$1" != cpython ] || [ "$2" -lt 3 ] || { [ "$2" -eq 3 ] && [ "$3" -lt 11 ]; }; then
            too_old="$candidate is $1 $2.$3"
        elif ! "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            no_pip=$candidate
        else
            python=$candidate
            return 0
        fi
    done
    if [ -n "$no_pip" ]; then
        need "$no_pip has no venv or ensurepip module." \
            "Install it (Debian, Ubuntu: apt install python3-venv) or name another with PYTHON=."
    else
        need "no CPython 3.11 or newer found${too_old:+ ($too_old)}." \
            "Install one (python.org, brew, apt, pyenv) or name it with PYTHON=/path/to/python3."
    fi
}

find_rust() {
    wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)"/\1/p' Cargo.toml)
    if ! cargo=$(cargo --version 2>/dev/null) || ! rustc=$(rustc --version 2>/dev/null); then
        need "no Rust toolchain found (cargo and rustc, $wanted or newer)." \
            "Install one: rustup (rustup.rs), then 'rustup default stable'."
        return 0
    fi
    have=$(printf '%s' "$rustc" | sed 's/^rustc \([0-9]*\)\.\([0-9]*\).*/\1 \2/')
    # shellcheck disable=SC2086 # two words
    set -- $have ${wanted%%.*} "$(printf '%s' "$wanted" | cut -d. -f2)"
    if [ "$1" -lt "$3" ] || { [ "$1" -eq "$3" ] && [ "$2" -lt "$4" ]; }; then
        need "Rust is too old: $rustc, needed is $wanted or newer." "Update it: 'rustup update stable'."
    fi
}

# SQLite and zstd are compiled in, and Rust links with cc.
find_compiler() {
    probe='#include <stdio.h>
int main(void) { return puts("") < 0; }'
    out=$(mktemp)
    if ! printf '%s\n' "$probe" | ${CC:-cc} -x c - -o "$out" >/dev/null 2>&1; then
        need "no working C compiler found (${CC:-cc})." \
            "Install one (Debian, Ubuntu: apt install build-essential; macOS: xcode-select --install)."
    fi
    rm -f "$out"
}

find_git() {
    git --version >/dev/null 2>&1 || need "git not found." "Install it (apt install git, brew install git)."
}

python=''
find_python
find_rust
find_compiler
find_git
[ "$missing" -eq 0 ] || exit 1

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    echo "vai: making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
install() { # uv alone comes through pip, everything else through uv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt &&
        UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV="$PWD/.venv" \
            .venv/bin/uv pip sync --quiet --require-hashes requirements/dev.txt
}
install || {
    printf 'vai: the packages of requirements/dev.txt could not be installed.\n     %s\n' \
        "Is the Python package index reachable (PIP_INDEX_URL, UV_DEFAULT_INDEX, HTTPS_PROXY)?" >&2
    exit 1
}
