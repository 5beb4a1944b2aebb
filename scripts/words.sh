#!/usr/bin/env bash
# Finds the words of scripts/words.tsv in the tracked text of the tree, and prints each with what to write in its place.
#
#   scripts/words.sh [PATH...]
#
# The Unix account "nobody" in quotation marks is not a word of the list. A word counts as a whole: in prose, as a part of a snake_case name, and at the start of a CamelCase one. The exit code is 1 if one is found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
list=scripts/words.tsv

pattern=$(sed '/^#/d; s/\t.*//; s/ /[ _-]/g' "$list" | paste -sd'|')
paths=("$@")
[ ${#paths[@]} -gt 0 ] || paths=(.)
expression="(?<![a-z])(?:$pattern)(?![a-z])"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    found=$(git grep -I -n -i -P --untracked "$expression" -- "${paths[@]}" ':!scripts/words.*' ':!Cargo.lock' ':!LICENSE' || true)
else # an unpacked archive
    found=$(grep -r -I -n -i -P "$expression" --exclude='words.*' --exclude=Cargo.lock --exclude=LICENSE --exclude-dir=target --exclude-dir=.tools \
        "${paths[@]}" || true)
fi
found=$(sed -E '/["`\\]nobody["`\\]/d' <<<"$found")
[ -n "$found" ] || { echo "words: none of the list"; exit 0; }
# Each line with the word that it holds and its replacement.
awk -F'\t' '
    FNR == NR { if ($0 !~ /^#/) { word[++n] = $1; advice[n] = $2; gsub(/ /, "[ _-]", $1); match_of[n] = $1 } next }
    { print; line = tolower($0)
      for (i = 1; i <= n; i++) if (line ~ "(^|[^a-z])" match_of[i] "([^a-z]|$)") printf "    %s: %s\n", word[i], advice[i] }
' "$list" <(printf '%s\n' "$found")
echo "words: $(printf '%s\n' "$found" | wc -l) lines use words of $list" >&2
exit 1
