#!/usr/bin/env bash
# Instructions that a node takes for a quiet second and for a ping, by callgrind (needs valgrind).
#
# Counts repeat, where times on a busy machine do not: decide by these.
set -euo pipefail
cd "$(dirname "$0")/../../.."

built=$(cargo bench -p tidings --no-run --bench instructions 2>&1) || { echo "$built" >&2; exit 1; }
program=$(sed -n 's/.*(\(.*\))$/\1/p' <<<"$built" | tail -n 1)
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT

instructions() { # what, members, how often
    valgrind --tool=callgrind --callgrind-out-file="$counts" --toggle-collect='*::measured' \
        "$program" "$@" >/dev/null 2>&1
    echo $(($(sed -n 's/^totals: //p' "$counts") / $3))
}

harness=$(instructions harness 10 1000)
echo "| members | quiet second | ping taken and answered |"
echo "|---|---|---|"
for members in ${*:-10 1000 100000}; do
    # Whole rounds of probes, so that each has its part of a shuffle.
    peers=$((members - 1))
    rounds=$((members > 1000 ? 1 : 10000 / peers))
    second=$(($(instructions second "$members" $((peers * rounds))) - harness))
    echo "| $members | $second | $(instructions ping "$members" 1000) |"
done
echo
echo "Less the $harness that the peers take for a second."
