#!/bin/sh
# Builds .venv from a lock file: deploy/local/install.sh requirements.lock
# Does nothing when .venv was built here, from this lock, with this Python; needs python3 with venv (Debian: python3-venv).
set -eu
lock=$1
cd "$(dirname "$0")/../.."

usable() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        [ -n "$candidate" ] && usable "$candidate" && { echo "$candidate"; return; }
    done
    echo "vivideo needs Python 3.11 or newer with the venv module (Debian: apt install python3-venv); found: $(
        python3 --version 2>&1 || true). Name another one with PYTHON=…" >&2
    exit 1
}

# A hash, not times: a checkout or a copy changes those at will. The directory too: scripts in .venv name it.
key=$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
stamp=.venv/.built-$(basename "$lock" .lock)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key $PWD" ] && .venv/bin/python -c '' 2>/dev/null && exit 0

home=$(cat .venv/.home 2>/dev/null || true)
if [ "$home" != "$PWD" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "building .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
    echo "$PWD" >.venv/.home
fi
rm -f "$stamp"
echo "installing from $lock (half a minute the first time)"
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@" --quiet --no-input --root-user-action=ignore; }
pip install --require-hashes --no-deps -r "$lock"
pip install --no-deps --no-build-isolation --editable .
echo "$key $PWD" >"$stamp"
