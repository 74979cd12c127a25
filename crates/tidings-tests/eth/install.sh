#!/usr/bin/env bash
# Installs the Ethereum node, its command-line tool and the Solidity compiler that the tests of
# tidings-eth use, with npm alone, into target/eth. Linux on x86-64 or arm64. What is there is left
# as it is.
#   bin/anvil     a development node
#   bin/cast      encodes and decodes calls and signs transactions: an oracle for our codec
#   bin/solcjs    the compiler; needs Node.js
#   node_modules/ethers   another oracle, which shares no code with ours; needs Node.js
# Exit status 3: the machine has no npm, or there is no node for it; a test may then be skipped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/../../.." && pwd)/target/eth

foundry=1.7.1
solc=0.8.37
ethers=6.16.0

# The SHA-256 of the programs of this machine.
case $(uname -sm) in
"Linux x86_64")
    machine=amd64
    anvil=10c1c727d6c1de973aeb160e59875b9a9a23464d6e74149ee8abb30b3500311b
    cast=ccd95a4607ca3ebfcb88bb90e7235cdb7f0564f5f1afa17478d5fccabbb222cb
    ;;
"Linux aarch64")
    machine=arm64
    anvil=bebaff5c1b6ff6f55b6f2f5f415bb5543f19b948197b5e909195e81ef1727be1
    cast=a0abbff83cb5ae40015a6e9480677207efb80fdfe60f8af76ebc38cf45beb8e9
    ;;
*)
    echo "install.sh: anvil $foundry is installed on Linux alone, x86-64 or arm64;" \
        "this is $(uname -sm)" >&2
    exit 3
    ;;
esac

# All that is installed, in one line: another version here is installed anew.
wanted="foundry $foundry $machine, solc $solc, ethers $ethers"
if [ "$(cat "$out/complete" 2>/dev/null)" = "$wanted" ] &&
    [ -x "$out/bin/anvil" ] && [ -x "$out/bin/cast" ] && [ -x "$out/bin/solcjs" ]; then
    exit 0
fi

if ! command -v npm >/dev/null; then
    echo "install.sh: npm is missing; it installs anvil, cast, solc and ethers, with which" \
        "tidings-eth is tested against a real Ethereum node" >&2
    exit 3
fi

. "$here/../quietly.sh"

echo "installing $wanted"
rm -rf "$out/complete" "$out/bin" "$out/node_modules" "$out/package.json" "$out/package-lock.json"
mkdir -p "$out/bin"
# npm installs where it finds a package.json.
echo '{ "private": true }' >"$out/package.json"
quietly npm install --prefix "$out" --no-audit --no-fund --ignore-scripts \
    "@foundry-rs/anvil-linux-$machine@$foundry" \
    "@foundry-rs/cast-linux-$machine@$foundry" \
    "solc@$solc" \
    "ethers@$ethers"

# Links a program of Foundry, if it is the one that is known.
link() {
    local program=../node_modules/@foundry-rs/$1-linux-$machine/bin/$1 sum
    sum=$(sha256sum <"$out/bin/$program")
    if [ "${sum%% *}" != "$2" ]; then
        echo "install.sh: $1 $foundry has SHA-256 ${sum%% *}, expected $2" >&2
        exit 1
    fi
    ln -s "$program" "$out/bin/$1"
}
link anvil "$anvil"
link cast "$cast"
ln -s ../node_modules/solc/solc.js "$out/bin/solcjs"
for program in anvil cast solcjs; do
    quietly "$out/bin/$program" --version
done
echo "$wanted" >"$out/complete"
echo "anvil, cast and solcjs are in target/eth/bin, ethers in target/eth/node_modules"
