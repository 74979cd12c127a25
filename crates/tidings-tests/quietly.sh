# A function for the install scripts, which source this file and have their folder in `out`.

# Runs quietly: what is said is kept in a file, and shown, without addresses, if it fails.
quietly() {
    if ! "$@" >"$out/install.log" 2>&1 </dev/null; then
        tail -n 30 "$out/install.log" |
            sed -E -e "s#[a-z]+://[^ ]*#...#g" \
                -e "s#[[:alnum:]-]+(\.[[:alnum:]-]+)+\.?[a-z]{2,}#...#g" >&2
        echo "install.sh: failed: $1" >&2
        exit 1
    fi
}
