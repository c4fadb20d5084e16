#!/bin/sh
# Makes this checkout ready: Debian packages that the lab needs, and .venv with orch and its tools.
#   scripts/setup.sh [--no-packages]
# Safe to repeat; quick and silent when nothing is to do. No Docker engine is started on this machine.
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'setup: %s\n  fix: %s\n' "$1" "$2" >&2
    exit 1
}

# program:package
NEEDED='dockerd:docker.io containerd:containerd runc:runc iptables:iptables ip:iproute2 bridge:iproute2 nsenter:util-linux
    unshare:util-linux mount:mount curl:curl'

missing_packages() {
    for pair in $NEEDED; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || printf '%s\n' "${pair##*:}"
    done | sort -u
}

python_of_system() { # the first Python that is new enough
    for name in python3 python3.11 python3.12 python3.13 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
}

engine_runs() {
    for command in /proc/[0-9]*/comm; do
        [ "$(cat "$command" 2>/dev/null)" != dockerd ] || return 0
    done
    return 1
}

install_packages() { # without starting or enabling a service that was not there
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # Package names are words.
    # shellcheck disable=SC2086
    if ! { apt-get -qq update && apt-get -qq -y install --no-install-recommends $1; } >"$log" 2>&1; then
        tail -20 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: $1" "see its words above"
    fi
    rm -f "$log"
    case " $1 " in
    *" docker.io "*)
        if [ -d /run/systemd/system ]; then
            systemctl --quiet disable docker.service docker.socket containerd.service 2>/dev/null || true
        fi
        ;;
    esac
}

if [ "${1:-}" != --no-packages ]; then
    PATH="$PATH:/usr/sbin:/sbin"
    packages=$(missing_packages | tr '\n' ' ')
    packages=${packages% }
    python=$(python_of_system)
    [ -n "$python" ] || packages="$packages python3 python3-venv"
    if [ -n "$python" ] && ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        packages="$packages python3-venv"
    fi
    if [ -n "$packages" ]; then
        [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: $packages" "sudo apt-get install -y $packages"
        command -v apt-get >/dev/null || fail "this is no Debian, and these are missing: $packages" "install them"
        engine_runs && before=yes || before=no
        echo "setup: installing $packages"
        install_packages "$packages"
        if [ $before = no ] && engine_runs; then
            echo "setup: note: a Docker engine of this machine runs now; \`systemctl stop docker docker.socket\` ends it" >&2
        fi
    fi
fi

if [ ! -e .venv/made ] || [ pyproject.toml -nt .venv/made ]; then
    python=$(python_of_system)
    [ -n "$python" ] || fail "no Python 3.11 or newer" "apt-get install python3 python3-venv"
    echo "setup: making .venv"
    [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check --editable '.[dev]' ||
        fail "pip could not install orch and its tools" "see its words above"
    touch .venv/made
fi
