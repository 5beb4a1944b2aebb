#!/usr/bin/env bash
# The tests of the transport, of feeds and of requests over an exchange of three servers: each is killed, frozen and cut off,
# restarted, and loses its disk.
# Usage: make test-cluster; arguments are parts of the names of tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo=${CARGO:-cargo}
TMPDIR=$(scripts/test-files.sh)
export TMPDIR SLACKTIDE_TEST_CLUSTER=1
trap 'rm -rf "$TMPDIR"' EXIT

"$cargo" build --workspace --bins --locked
# One after the other: each has the machine for itself.
"$cargo" test --workspace --locked --test nats --test flow -- --nocapture --test-threads 1 "${@:-cluster::}"
