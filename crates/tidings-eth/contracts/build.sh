#!/usr/bin/env bash
# Compiles calldemo.sol into calldemo.abi (JSON) and calldemo.bin (init code in hexadecimal, without
# a newline at the end), with the compiler that crates/tidings-tests/eth/install.sh installs. The
# same source gives the same files.
#
# `solcjs --bin --abi --optimize` would do, but cannot choose the EVM. The code is for "paris" of
# 2022: ganache has no later MCOPY, with which the newest code returns a string.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
"$root/crates/tidings-tests/eth/install.sh"

NODE_PATH=$root/target/eth/node_modules node -e '
    const { readFileSync, writeFileSync } = require("fs");
    const input = {
        language: "Solidity",
        sources: { "calldemo.sol": { content: readFileSync("calldemo.sol", "utf8") } },
        settings: {
            evmVersion: "paris",
            optimizer: { enabled: true },
            metadata: { appendCBOR: false },
            outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
        },
    };
    const output = JSON.parse(require("solc").compile(JSON.stringify(input)));
    if (output.errors) {
        for (const error of output.errors) console.error(error.formattedMessage);
        process.exit(1);
    }
    const contract = output.contracts["calldemo.sol"].calldemo;
    writeFileSync("calldemo.abi", JSON.stringify(contract.abi, null, 2) + "\n");
    writeFileSync("calldemo.bin", contract.evm.bytecode.object);
'
