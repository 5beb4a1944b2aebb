#!/usr/bin/env bash
# Makes the folder in which tests put their files, and prints its name; whoever calls removes it.
#
# It lies in memory where there is plenty: a run creates some 100,000 files, most of them by PostgreSQL, which has 300 for
# each database, and on a disk they are an eighth of the processor time of the run. Otherwise it lies in TMPDIR.
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
