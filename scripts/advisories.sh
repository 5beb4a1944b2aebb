#!/bin/sh
# Checks the dependencies against the advisory database (RustSec), where its host can be reached.
#
#   scripts/advisories.sh CARGO_DENY
#
# One of three results is reported on standard error:
#   the database was fetched, and no advisory applies           exit code 0
#   the database was fetched, and one applies                   exit code 1, with cargo-deny's output
#   the database could not be fetched                           exit code 0, and NOT CHECKED with the reason
# A copy from an earlier run is used where the host is unreachable now; its date is reported.
set -eu

deny=${1:?give the path of cargo-deny}
report() { printf 'advisories: %s\n' "$*" >&2; }

# A host that drops packets must not delay the lint for minutes, and no one is there to enter a password.
GIT_TERMINAL_PROMPT=0
GIT_HTTP_LOW_SPEED_LIMIT=1000
GIT_HTTP_LOW_SPEED_TIME=20
export GIT_TERMINAL_PROMPT GIT_HTTP_LOW_SPEED_LIMIT GIT_HTTP_LOW_SPEED_TIME
limit=
if command -v timeout >/dev/null 2>&1; then limit='timeout 120'; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# shellcheck disable=SC2086 # the limit is several words, or none
if $limit "$deny" --locked fetch db >"$log" 2>&1; then
    report 'the advisory database was fetched'
else
    reason=$(grep -E 'fatal:|ERROR' "$log" | tail -n 1)
    report "the advisory database cannot be fetched: ${reason:-no answer within the time limit}"
    newest=
    for head in "${CARGO_HOME:-$HOME/.cargo}"/advisory-dbs/*/.git/FETCH_HEAD; do
        [ -f "$head" ] && newest=$head
    done
    if [ -z "$newest" ]; then
        report 'NOT CHECKED: run `make lint` where the host of the database is reached, before a release'
        exit 0
    fi
    report "checking against the copy of $(date -r "$newest" -u '+%Y-%m-%d' 2>/dev/null || echo 'an earlier run')"
fi

if "$deny" --frozen check --hide-inclusion-graph advisories; then
    report 'no advisory applies to the dependencies'
else
    report 'an advisory applies, or the copy of the database is too old: see above; update the crate, or name the advisory in deny.toml with the reason'
    exit 1
fi
