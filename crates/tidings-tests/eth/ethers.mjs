// Encodes values with ethers, one JSON line for each line of standard input:
// {"types": [...], "values": [...]} gives {"data": "0x..."}, or {"error": "..."}.
// {"types": [...], "data": "0x..."} decodes, encodes again, and gives the same.
import { createInterface } from "node:readline";
import { AbiCoder } from "ethers";

const coder = AbiCoder.defaultAbiCoder();
for await (const line of createInterface({ input: process.stdin })) {
    let reply;
    try {
        const { types, values, data } = JSON.parse(line);
        const given = values ?? coder.decode(types, data);
        reply = { data: coder.encode(types, given) };
    } catch (error) {
        reply = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(reply) + "\n");
}
