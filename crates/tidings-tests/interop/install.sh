#!/usr/bin/env bash
# Installs the Go programs that the interop tests run against, on Debian 12 as root, from Debian's
# packages alone, and builds the Go peers into target/interop. What is there is left as it is.
#   peer-0.2.2, peer-0.5.0      the Go peer with Debian 12's memberlist, and with Debian 13's
#   debian13/usr/bin            Debian 13's serf and Alertmanager, unpacked
# Debian 12's serf is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/../../.." && pwd)/target/interop
mkdir -p "$out"

packages=(golang-go golang-github-hashicorp-memberlist-dev iproute2 nftables procps serf util-linux)

. "$here/../quietly.sh"

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get -q update
    quietly apt-get -q install -y --no-install-recommends "${missing[@]}"
fi

export GOCACHE=$out/gocache

# The Go peer against the memberlist that is installed, or the one below a folder; built beside its
# place and moved there, so that a build that was stopped is not taken for one.
build() {
    local peer=$out/$1
    if [ ! -x "$peer" ] || [ "$here/main.go" -nt "$peer" ]; then
        echo "building $1"
        GOPATH_FIRST=${2:-} quietly "$here/build.sh" "$peer.new"
        mv "$peer.new" "$peer"
    fi
}

build peer-0.2.2
if [ ! -e "$out/debian13/complete" ]; then
    echo "unpacking newer packages"
    rm -rf "$out/debian13"
    quietly "$here/fetch-debian13.sh" "$out/debian13"
    touch "$out/debian13/complete"
fi
build peer-0.5.0 "$out/debian13/usr/share/gocode"
echo "all that the interop tests need is in target/interop"
