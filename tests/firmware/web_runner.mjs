// Plays a script in an instrument's WebAssembly, in node: node web_runner.mjs WEB FOLDER MODULE TICKS [JACK…]
import fs from "fs";
import path from "path";
import {pathToFileURL} from "url";

const [web, folder, module, ticksText, ...jacks] = process.argv.slice(2), ticks = Number(ticksText);
const load = (name) => import(pathToFileURL(path.join(web, name)).href);
const {Engine} = await load("engine.js"), {ScriptPlayer} = await load("script.js");
const json = (name) => JSON.parse(fs.readFileSync(path.join(folder, name)));
const about = json("about.json"), sounds = {};
for (const jack of jacks) sounds[jack] = new Float32Array(new Uint8Array(fs.readFileSync(path.join(folder, `${jack}.f32`))).buffer);
const engine = new Engine(fs.readFileSync(path.join(folder, module)), about);
const player = new ScriptPlayer(json("script.json"), engine, sounds);
const audio = new Float32Array(about.audioOut * ticks), cv = new Float32Array(about.cvOut * ticks), gates = new Uint32Array(ticks);
for (let at = 0; at < ticks; at += about.block) {
  const size = Math.min(about.block, ticks - at);
  player.fill(at, size);
  engine.render(size);
  engine.audioOut.forEach((row, c) => audio.set(row.subarray(0, size), c * ticks + at));
  engine.cvOut.forEach((row, c) => cv.set(row.subarray(0, size), c * ticks + at));
  gates.set(engine.gatesOut.subarray(0, size), at);
}
for (const [name, rows] of Object.entries({audio, cv, gates})) fs.writeFileSync(path.join(folder, `${name}.out`), new Uint8Array(rows.buffer));
