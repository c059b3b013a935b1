// Runs the page's audio thread in node: node --expose-gc web_worklet.mjs WORKLET.js FOLDER MODULE TICKS
// Prints what `process` gave (a FIFO away from the engine itself), and how many bytes it left on the heap.
import fs from "fs";
import path from "path";
import {pathToFileURL} from "url";

const [worklet, folder, module, ticksText] = process.argv.slice(2), ticks = Number(ticksText);
let Processor = null;
globalThis.AudioWorkletProcessor = class {
  port = {postMessage() {}};
};
globalThis.registerProcessor = (name, made) => (Processor = made);
await import(pathToFileURL(worklet).href);
const about = JSON.parse(fs.readFileSync(path.join(folder, "about.json")));
const before = JSON.parse(fs.readFileSync(path.join(folder, "before.json")));
const node = new Processor({processorOptions: {bytes: fs.readFileSync(path.join(folder, module)), about, outside: null, before}});
const quantum = [Array.from({length: about.audioOut}, () => new Float32Array(128))], mic = [[new Float32Array(128).fill(0.25)]];
const out = Array.from({length: about.audioOut}, () => new Float32Array(ticks));
for (let at = 0; at + 128 <= ticks; at += 128) {
  node.process(mic, quantum);
  quantum[0].forEach((row, c) => out[c].set(row, at));
}
fs.writeFileSync(path.join(folder, "heard.out"), Buffer.concat(out.map((row) => new Uint8Array(row.buffer))));
const run = (quanta) => {
  for (let n = 0; n < quanta; n++) node.process(mic, quantum);
};
const many = about.block < 16 ? 1000 : 4000; // a block of one sample is rendered 128 times a quantum
run(3 * many); // every function is compiled
globalThis.gc();
run(many / 2); // and again what the collection has dropped
// Node itself writes to the heap now and then; what a quantum writes is in every window, so the least one counts.
const grown = Array.from({length: 4}, () => {
  const held = process.memoryUsage().heapUsed;
  run(many);
  return process.memoryUsage().heapUsed - held;
});
console.log(JSON.stringify({grown: Math.min(...grown.filter((bytes) => bytes >= 0)), all: grown}));
