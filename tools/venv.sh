# shellcheck shell=bash
# Sourced by the other tools: Python tools of exact versions in .venv, which git ignores.

# use_venv FILE: installs the requirements of FILE (in this folder) and puts them first in PATH.
use_venv() {
    local root file stamp
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || return
    file=$root/tools/$1
    stamp=$root/.venv/.installed-$1
    if ! "$root/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "Setting up .venv"
        rm -rf "$root/.venv"
        create_venv "$root/.venv" || return
    fi
    # The stamp is a copy of what was installed: a changed file is installed again.
    if ! cmp -s "$file" "$stamp"; then
        echo "Installing $1 into .venv"
        if ! "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$file"; then
            echo "Could not install $1. Check the connection to PyPI (pip's own settings apply), then try again." >&2
            return 1
        fi
        cp "$file" "$stamp"
    fi
    export PATH="$root/.venv/bin:$PATH"
}

# create_venv DIR: creates a virtual environment, after installing python3-venv where that is missing and allowed.
create_venv() {
    python3 -m venv "$1" 2>/dev/null && return
    rm -rf "$1"
    local install="apt-get install -y python3 python3-venv" sudo=""
    if command -v apt-get >/dev/null; then
        if [ "$(id -u)" != 0 ]; then
            sudo=sudo
        fi
        if [ -z "$sudo" ] || sudo -n true 2>/dev/null; then
            echo "Installing python3-venv"
            # shellcheck disable=SC2086 # a list of words
            if { $sudo env DEBIAN_FRONTEND=noninteractive $install || {
                $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive $install
            }; } >/dev/null && python3 -m venv "$1"; then
                return
            fi
        fi
        echo "Python's venv is missing. Run: ${sudo:+$sudo }$install" >&2
    else
        echo "Python 3.10 or later with its venv module is missing. Install it with the system's package manager." >&2
    fi
    return 1
}
