#!/usr/bin/env bash
# The long form of the tests of kills over HTTPS: gateway, agents and nats-server are killed at random moments, while rows change and
# requests are filed. Nothing may be lost, doubled or different, and each request has one outcome. Usage: make test-kills
#
#   scripts/test-kills.sh [ROWS [KILLS]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export FLOW_ROWS=${1:-300000} FLOW_KILLS=${2:-40}
cargo=${CARGO:-cargo}
TMPDIR=$(scripts/test-files.sh)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

echo "=== $FLOW_ROWS rows, $FLOW_KILLS kills in each test"
"$cargo" build --workspace --bins --locked
# One after the other: each has the machine for itself.
"$cargo" test --workspace --locked --test flow -- --nocapture --test-threads 1 https::kills::
