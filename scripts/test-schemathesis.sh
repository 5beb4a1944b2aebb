#!/usr/bin/env bash
# Runs schemathesis against a real gateway with a real nats-server: every operation of the interface against its own
# description, with and without credentials. Usage: make test-api; arguments are parts of the names of runs.
#
# It needs Python 3 with pip, which fetches the packages of scripts/pins/schemathesis.txt into .tools. SLACKTIDE_API_SEED tries
# other cases, SLACKTIDE_API_EXAMPLES more of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/tools.sh python schemathesis
if [ -z "${SLACKTIDE_BIN:-}" ]; then
    "${CARGO:-cargo}" build --locked --package slacktide --bin slacktide
    export SLACKTIDE_BIN=${CARGO_TARGET_DIR:-$PWD/target}/debug/slacktide
fi
exec python3 tests/api/run.py "$@"
