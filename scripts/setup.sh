# Sourced by the other scripts: sets up .tools (uv) and .venv (the project), then returns.
#
# Needs git and a Python >= 3.11. Everything goes into the checkout's own folders; all output is on
# standard error. Two scripts may do this at once: the second waits for the first.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() { printf '%s\n' "$*" >&2; }

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    say "Runhook needs Python 3.11 or newer: install it, for example with: apt-get install python3"
    exit 1
}

# Debian ships Python without venv; as root it is installed, otherwise the command is named.
need_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing python3-venv …"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; } >&2
    else
        say "Python's venv is missing: run 'sudo apt-get install python3-venv', then this again"
        exit 1
    fi
}

# set_up NAME: the packages of requirements/NAME.txt, exactly, and the project itself.
set_up() {
    local file="$ROOT/requirements/$1.txt" python stamp
    stamp="$(cat "$file" "$ROOT/pyproject.toml" | cksum)"
    [ "$(cat "$ROOT/.venv/stamp-$1" 2>/dev/null)" = "$stamp" ] && return
    exec 9>"$ROOT/.setup.lock"
    flock 9
    if [ "$(cat "$ROOT/.venv/stamp-$1" 2>/dev/null)" != "$stamp" ]; then
        say "Setting up in $ROOT/.venv, once …"
        python="$(find_python)"
        need_venv "$python"
        (
            unset PYTHONDONTWRITEBYTECODE PYTHONPATH VIRTUAL_ENV # bytecode is wanted, others are not
            cd "$ROOT"
            [ -x .tools/bin/uv ] || { "$python" -m venv .tools && .tools/bin/python -m pip install --quiet uv; }
            [ -x .venv/bin/python ] || .tools/bin/uv venv --quiet --python "$python" .venv
            if [ "$1" = run ] && ls .venv/stamp-* >/dev/null 2>&1; then
                .tools/bin/uv pip install --quiet --python .venv --require-hashes --compile-bytecode -r "$file"
            else
                .tools/bin/uv pip sync --quiet --python .venv --require-hashes --compile-bytecode "$file"
            fi
            .tools/bin/uv pip install --quiet --python .venv --no-deps --editable .
        ) >&2
        printf '%s' "$stamp" >"$ROOT/.venv/stamp-$1"
    fi
    flock -u 9
    exec 9>&-
}
