#!/usr/bin/env bash
# Tests of the console in a browser, against a real site. Usage: make test-console; arguments are parts of the names of tests.
#
# It needs chromium, and Python 3 with pip, which fetches the packages of scripts/pins/console.txt into .tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/tools.sh python console
if [ -z "${SLACKTIDE_BIN:-}" ]; then
    "${CARGO:-cargo}" build --locked --package slacktide --bin slacktide
    export SLACKTIDE_BIN=${CARGO_TARGET_DIR:-$PWD/target}/debug/slacktide
fi
PYTHONPATH=$PWD/.tools/pip/console exec python3 tests/console/run.py "$@"
