#!/usr/bin/env bash
# The long form of the test with random faults of every kind: programs are killed and suspended, connections cut, clocks stepped, and
# core, store and exchange replaced by older copies. Operators follow what the product shows; then core and store are equal. The seed
# selects the faults. Usage: make test-nemesis
#
#   scripts/test-nemesis.sh [FAULTS [SEED]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export FLOW_FAULTS=${1:-60} SLACKTIDE_SEED=${2:-$RANDOM}
cargo=${CARGO:-cargo}
TMPDIR=$(scripts/test-files.sh)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

echo "=== $FLOW_FAULTS faults with seed $SLACKTIDE_SEED"
"$cargo" build --workspace --bins --locked
"$cargo" test --workspace --locked --test flow -- --nocapture --test-threads 1 faults::nemesis::site_
