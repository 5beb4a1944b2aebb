#!/usr/bin/env bash
# Creates the folder for the files of a test run and prints its name; the caller removes it.
#
# It is in memory where enough is free: a run creates some 100,000 files, most of them by PostgreSQL, which has 300 for
# each database, and on a disk they take an eighth of the run's processor time. Otherwise it is in TMPDIR.
set -euo pipefail

# The files of a run need up to 4 GiB.
plenty_kib=$((8 << 20))

shm=/dev/shm
folder=''
available_kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo 2>/dev/null || true)
free_kib=$(df -Pk "$shm" 2>/dev/null | awk 'END { print $4 }')
if [ "${available_kib:-0}" -ge "$plenty_kib" ] && [ "${free_kib:-0}" -ge "$plenty_kib" ] &&
    folder=$(mktemp -d "$shm/slacktide-tests-XXXXXX" 2>/dev/null); then
    # Some tests run programs that they copied there, which the folder for shared memory may forbid.
    cp "$(type -P true)" "$folder/true"
    "$folder/true" 2>/dev/null || { rm -rf "$folder"; folder=''; }
fi
[ -n "$folder" ] || folder=$(mktemp -d "${TMPDIR:-/tmp}/slacktide-tests-XXXXXX")
rm -f "$folder/true"
# The servers run as another user where the tests run as root.
chmod 1777 "$folder"
echo "$folder"
