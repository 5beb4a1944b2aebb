#!/usr/bin/env bash
# Tests the alert rules of deploy/slacktide.rules.yml: each fires and clears. Usage: make test-alerts
#
# It needs promtool, a program of Prometheus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../deploy"

command -v promtool >/dev/null || {
    echo "no promtool on the PATH. Install Prometheus (on Debian: apt-get install prometheus), or put promtool on the PATH." >&2
    exit 1
}
promtool check rules slacktide.rules.yml
promtool test rules slacktide.rules.test.yml
cases=$(grep -c '^  - name: ' slacktide.rules.test.yml)
echo "alerts: $cases cases passed"
