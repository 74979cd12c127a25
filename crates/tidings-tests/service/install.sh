#!/usr/bin/env bash
# Installs the programs with which the status page and the files in deploy/ are tested, on Debian 12
# as root, from Debian's packages alone. What is there is left as it is.
#   chromium, systemd-analyze, ip   installed
#   target/service/prometheus       Prometheus and promtool, unpacked, so that no service is started
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/../../.." && pwd)/target/service
mkdir -p "$out"

. "$here/../quietly.sh"

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v ip >/dev/null || missing+=(iproute2)
command -v systemd-analyze >/dev/null || missing+=(systemd)
unpacked=$out/prometheus/usr/bin/promtool
export DEBIAN_FRONTEND=noninteractive
if [ ${#missing[@]} -gt 0 ] || [ ! -x "$unpacked" ]; then
    quietly apt-get -q update
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    quietly apt-get -q install -y --no-install-recommends "${missing[@]}"
fi
if [ ! -x "$unpacked" ]; then
    echo "unpacking prometheus"
    rm -rf "$out/prometheus" "$out"/prometheus_*.deb
    cd "$out"
    quietly apt-get -q download prometheus
    # Moved to its place at the end, so that one that was stopped is not taken for complete.
    quietly dpkg -x prometheus_*.deb prometheus.new
    mv prometheus.new prometheus
    rm prometheus_*.deb
fi
echo "all that the tests of the service need is installed"
