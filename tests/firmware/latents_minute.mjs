// The same as latents_minute_main.c, for WebAssembly: node latents_minute.mjs MODULE SECONDS
import { readFileSync } from "node:fs";

const [module, secondsText] = process.argv.slice(2), seconds = Number(secondsText);
const { instance } = await WebAssembly.instantiate(readFileSync(module));
const { latents_minute, memory, __heap_base } = instance.exports;
const at = (__heap_base.value + 63) & ~63;
memory.grow(1);
latents_minute(seconds, at);
for (const sum of new Uint32Array(memory.buffer, at, seconds)) console.log(sum.toString(16).padStart(8, "0"));
