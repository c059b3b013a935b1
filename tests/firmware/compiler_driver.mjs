// Run a compiled model in WebAssembly: node compiler_driver.mjs MODULE IN_FLOATS CALLS OUT_FLOATS < floats, calls > floats
import { readFileSync, writeSync } from "node:fs";

const [module, inFloats, calls, outFloats] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(module));
const wasm = instance.exports;
const input = readFileSync(0);
const memory = () => new Uint8Array(wasm.memory.buffer);
memory().set(input.subarray(0, 4 * inFloats), wasm.drive_in());
memory().set(input.subarray(4 * inFloats), wasm.drive_calls());
wasm.drive(Number(calls));
const start = wasm.drive_out();
const out = Buffer.from(wasm.memory.buffer.slice(start, start + 4 * outFloats));
for (let at = 0; at < out.length; ) at += writeSync(1, out, at);
