#!/usr/bin/env bash
# Instructions of a node per quiet second and per ping, counted by callgrind (needs valgrind).
#
# Unlike times, the counts are repeatable on a busy machine: base decisions on them.
set -euo pipefail
cd "$(dirname "$0")/../../.."

built=$(cargo bench -p tidings --no-run --bench instructions 2>&1) || { echo "$built" >&2; exit 1; }
program=$(sed -n 's/.*(\(.*\))$/\1/p' <<<"$built" | tail -n 1)
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT

instructions() { # workload, members, times
    valgrind --tool=callgrind --callgrind-out-file="$counts" --toggle-collect='*::measured' \
        "$program" "$@" >/dev/null 2>&1
    echo $(($(sed -n 's/^totals: //p' "$counts") / $3))
}

harness=$(instructions harness 10 1000)
echo "| members | quiet second | ping received and answered |"
echo "|---|---|---|"
for members in ${*:-10 1000 100000}; do
    # Whole passes over the members, so that each probe has its share of a shuffle.
    peers=$((members - 1))
    rounds=$((members > 1000 ? 1 : 10000 / peers))
    second=$(($(instructions second "$members" $((peers * rounds))) - harness))
    echo "| $members | $second | $(instructions ping "$members" 1000) |"
done
echo
echo "The $harness instructions of the peers per second are subtracted."
