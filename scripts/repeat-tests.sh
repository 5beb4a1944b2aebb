#!/usr/bin/env bash
# Runs the whole suite many times in a row, to find tests that pass only sometimes.
#
#   scripts/repeat-tests.sh N [--load K] [--cores LIST] [--user NAME] [-- ARGUMENT...]
#
#   N             how many runs
#   --load K      next to K busy processes, which are started before the first run and ended after the last
#   --cores LIST  on these cores only, as taskset takes them: 0 or 0,1 or 0-3. The load is on the same ones
#   --user NAME   as this user, which needs root; the tree must be readable for it
#   ARGUMENT...   go to each test binary, such as a part of a test's name, or --test-threads=1
#
# Everything is built once, before the first run; the runs start the test binaries themselves, in the order and with the
# environment that cargo gives them. (Doc tests are not among them: they only have to compile.)
# Each run prints one line: when it ended, how long it took, what passed, failed and was skipped. The output of a run that
# failed is kept with the logs of its processes below target/repeat-tests/TIME. The exit code is 1 if any run failed.
#
#   scripts/repeat-tests.sh 10
#   scripts/repeat-tests.sh 10 --load 4
#   scripts/repeat-tests.sh 1 --cores 0
#   sudo scripts/repeat-tests.sh 1 --user tester
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

fail() { echo "repeat-tests: $*" >&2; exit 2; }
usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2; }
is_number() { [[ $1 =~ ^[1-9][0-9]*$ ]]; }

runs=${1:-}
is_number "$runs" || usage
shift
load=0 cores='' user=''
while [ $# -gt 0 ]; do
    case $1 in
        --load) is_number "${2:-}" || usage; load=$2; shift 2 ;;
        --cores) cores=${2:-}; [ -n "$cores" ] || usage; shift 2 ;;
        --user) user=${2:-}; [ -n "$user" ] || usage; shift 2 ;;
        --) shift; break ;;
        *) usage ;;
    esac
done

# The prefix of every program of a run.
pinned=()
if [ -n "$cores" ]; then
    command -v taskset >/dev/null || fail "--cores needs taskset, of util-linux"
    taskset -c "$cores" true || fail "taskset does not take the cores $cores"
    pinned=(taskset -c "$cores")
fi

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/repeat-tests/$(date -u +%Y%m%dT%H%M%SZ)-$$
mkdir -p "$out"
cargo=${CARGO:-cargo}

scripts/tools.sh
"$cargo" build --workspace --bins --locked
# The packages' folders with their test binaries, in the order in which cargo runs them.
"$cargo" test --workspace --locked --no-run
"$cargo" test --workspace --locked --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"manifest_path":"\([^"]*\)\/Cargo.toml".*"profile":{[^}]*"test":true}.*"executable":"\([^"]*\)".*/\1 \2/p' >"$out/binaries"
[ -s "$out/binaries" ] || fail "cargo names no test binary"

export SLACKTIDE_NATS_SERVER=${SLACKTIDE_NATS_SERVER:-$root/.tools/bin/nats-server}
export SLACKTIDE_PG_BIN=${SLACKTIDE_PG_BIN:-$root/.tools/pg/bin}
export SLACKTIDE_BIN=${SLACKTIDE_BIN:-$target/debug/slacktide}
# As cargo gives it to what it runs.
seed=$(sed -n 's/^PROPTEST_RNG_SEED = "\(.*\)"/\1/p' .cargo/config.toml)
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-$seed}
# As the Makefile sets it; nproc respects taskset.
threads=$("${pinned[@]}" nproc)
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((threads > 8 ? threads : 8))}

TMPDIR=$(scripts/test-files.sh)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

as_user=()
if [ -n "$user" ]; then
    [ "$(id -u)" = 0 ] || fail "--user needs root"
    id "$user" >/dev/null 2>&1 || fail "there is no user $user"
    command -v setpriv >/dev/null || fail "--user needs setpriv, of util-linux"
    home=$out/home
    mkdir "$home"
    # Where the tools of the user who builds are private, cargo itself must be within the other one's reach: one test asks
    # it what the workspace is made of.
    cp "$(rustup which cargo 2>/dev/null || command -v "$cargo")" "$home/cargo"
    chown -R "$user" "$home"
    as_user=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups
        env "HOME=$home" "CARGO_HOME=$home" "CARGO=$home/cargo" "PATH=/usr/local/bin:/usr/bin:/bin")
    read -r folder binary <"$out/binaries"
    "${as_user[@]}" test -r "$folder/Cargo.toml" -a -x "$binary" -a -x "$SLACKTIDE_NATS_SERVER" ||
        fail "$user cannot read $folder, run $binary or run $SLACKTIDE_NATS_SERVER: build in a folder that it may enter"
fi

busy=()
cleanup() {
    [ ${#busy[@]} -eq 0 ] || kill "${busy[@]}" 2>/dev/null || true
    rm -rf "$out/home" "$out/binaries" "$TMPDIR"
    # Nothing is left if every run passed.
    rmdir "$out" 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
for ((i = 0; i < load; i++)); do
    "${pinned[@]}" sh -c 'while :; do :; done' </dev/null &
    busy+=($!)
done

run_binaries() {
    local folder binary
    while read -r folder binary; do
        echo "     Running $binary ($binary)"
        (cd "$folder" && CARGO_MANIFEST_DIR=$folder exec "${pinned[@]}" "${as_user[@]}" "$binary" "$@" </dev/null) || true
    done <"$out/binaries"
}

failed=0
for ((run = 1; run <= runs; run++)); do
    kept=$out/run-$run
    mkdir "$kept"
    : >"$kept/skipped"
    mkdir "$kept/logs"
    [ -z "$user" ] || chown "$user" "$kept/skipped" "$kept/logs"
    export SLACKTIDE_TEST_SKIPPED=$kept/skipped SLACKTIDE_TEST_LOGS=$kept/logs
    begun=$SECONDS
    run_binaries "$@" >"$kept/output" 2>&1
    if closing=$(awk -v skipped="$kept/skipped" -f scripts/test-closing.awk "$kept/output"); then
        rm -rf "$kept"
        where=''
    else
        failed=$((failed + 1))
        where=", kept in $kept"
        grep -E '^(failed|no result): ' <<<"$closing" || true
    fi
    echo "$(date -u +%H:%M:%S) run $run of $runs: $((SECONDS - begun)) s, $(tail -n 1 <<<"$closing")$where"
done

load_note=; [ "$load" = 0 ] || load_note=", next to $load busy processes"
echo "$((runs - failed)) of $runs runs passed$load_note${cores:+, on cores $cores}${user:+, as $user}"
[ "$failed" = 0 ]
