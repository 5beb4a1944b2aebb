#!/usr/bin/env bash
# Builds and runs every test, and shows how far it is: `make test`.
#
#   scripts/test.sh [ARGUMENT...]      the arguments go to `cargo test`, such as a part of a test's name
#
# The closing line is `N passed, N failed, N skipped: need WHAT`. The whole output stays in target/test.log, the logs of
# the processes of failed tests below target/test-logs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Measured on 2 cores with nothing else to do; CONTRIBUTING.md has the same figures.
build_minutes="11 to 22"
test_minutes="5 to 8"

cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
log=$target/test.log
mkdir -p "$target"
: >"$log"
TMPDIR=$(scripts/test-files.sh)
SLACKTIDE_TEST_SKIPPED=$TMPDIR/skipped
export TMPDIR SLACKTIDE_TEST_SKIPPED
trap 'rm -rf "$TMPDIR"' EXIT
: >"$SLACKTIDE_TEST_SKIPPED"

elapsed() { printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }
step() { echo "=== $(elapsed) step $1 of 3: $2"; }

echo "=== on 2 cores all tests take about $test_minutes minutes once everything is compiled; this machine has $(nproc)"
compgen -G "$target/debug/deps/flow-*" >/dev/null ||
    echo "=== nothing is compiled yet: that takes about $build_minutes minutes more, the first time only"

step 1 "compile the programs"
"$cargo" build --workspace --bins --locked
step 2 "compile the tests"
"$cargo" test --workspace --locked --no-run "$@"
binaries=$("$cargo" test --workspace --locked --no-run "$@" 2>&1 | grep -c '^  Executable ' || true)

# Passes everything on, and adds a line at each binary and whenever half a minute has passed without one.
progress() {
    local begun=$SECONDS binary=0 name='' tests=0 done=0 shown=$SECONDS line='' part=''
    while true; do
        part=''
        if IFS= read -r -t 5 part; then
            line+=$part
            printf '%s\n' "$line"
            case $line in
                '     Running '*)
                    binary=$((binary + 1)) done=0
                    name=${line##*/} name=${name%-*}
                    echo "=== $(elapsed) binary $binary of $binaries: $name"
                    shown=$SECONDS
                    ;;
                'running '*' test'*) tests=${line#running } tests=${tests%% *} ;;
                'test '*' ... '*) done=$((done + 1)) ;;
            esac
            line=''
        elif [ $? -gt 128 ]; then
            # Nothing came; a line without its end may have.
            line+=$part
        else
            printf '%s' "$line$part"
            return 0
        fi
        if [ $((SECONDS - shown)) -ge 30 ]; then
            echo "=== $(elapsed) binary $binary of $binaries: $name, $done of $tests tests done"
            shown=$SECONDS
        fi
    done
}

step 3 "run the tests, $binaries binaries one after the other, then the examples of the code's pages"
status=0
"$cargo" test --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$log" | progress || status=$?

echo "=== $(elapsed) done, the output is in $log"
awk -v skipped="$SLACKTIDE_TEST_SKIPPED" -f scripts/test-closing.awk "$log" || status=1
exit "$status"
