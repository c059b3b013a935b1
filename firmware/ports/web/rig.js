// The module with hands on it and cables in it. It plays messages, block by block, the same way every time:
// live in the worklet, and again when a recording is rendered.

import {Engine, reading, knobReading} from "./engine.js";
import {ScriptPlayer} from "./script.js";
import {SOURCES, Hand, Sources} from "./sources.js";

const AUDIO_AS_VOLTS = 5; // ±1 of a sound in a CV or gate jack

export class Rig {
  constructor(bytes, about) {
    this.about = about;
    this.engine = new Engine(bytes, about);
    this.block = about.block;
    const most = this.engine.mostTicks;
    this.sources = new Sources(about.rateHz, most);
    this.units = {};
    for (const [name, [, unit]] of Object.entries(SOURCES)) this.units[name] = unit;
    this.outputs = {};
    const called = (kind, count) => Array.from({length: count}, (_, at) => `${kind}_out_${at + 1}`);
    this.audioNames = called("audio", about.audioOut);
    this.cvNames = called("cv", about.cvOut);
    this.gateNames = called("gate", about.gateOut);
    for (const name of [...this.audioNames, ...this.cvNames, ...this.gateNames]) {
      this.outputs[name] = new Float32Array(most);
      this.units[name] = "volts";
    }
    this.gateNumbers = new Map(about.gates.map((gate, at) => [gate.name, at]));
    this.cvCables = about.inputs.map(() => null);
    this.gateCables = about.gates.map(() => null);
    this.audioCables = this.engine.audioIn.map(() => null);
    this.knobs = about.inputs.map((input) => input.rest);
    this.fingers = about.gates.map(() => new Hand());
    this.fingerRow = new Float32Array(most);
    this.volts = new Float64Array(about.inputs.length);
    this.waiting = []; // commands that found the instrument's queue full
    this.script = null;
    this.begin();
  }

  // Power on, with hands and cables where they are.
  begin() {
    this.tick = 0;
    this.engine.begin();
    this.sources.begin();
    for (const finger of this.fingers) finger.begin();
    for (const name of Object.keys(this.outputs)) this.outputs[name].fill(0);
    this.waiting.length = 0;
    this.scriptAt = 0;
    if (this.script !== null) this.script.begin();
  }

  row(name) {
    return this.sources.bus[name] || this.outputs[name] || null;
  }

  cable({from, depth = 1, offset = 0}) {
    const row = from ? this.row(from) : null;
    return row === null ? null : {from, row, depth, offset, audio: this.units[from] === "audio"};
  }

  plug(jack, told) {
    const cable = told === null ? null : this.cable(told), at = Number(jack.split("_").pop()) - 1;
    if (jack.startsWith("audio_in_")) this.audioCables[at] = cable;
    else if (jack.startsWith("gate_in_")) this.gateCables[this.gateNumbers.get(jack)] = cable;
    else this.cvCables[this.about.inputs.findIndex((input) => input.name === jack)] = cable;
  }

  // One message; everything that moves the sound is one.
  hear(message) {
    switch (message.do) {
      case "knob": this.knobs[message.at] = message.to; break;
      case "finger": this.fingers[message.at].set(message.to, message.to !== 0); break;
      case "cable": this.plug(message.jack, message.cable); break;
      case "settings": this.sources.settings[message.source] = message.to; break;
      case "note": this.sources.note(message.source, message.on, message.volts, message.velocity); break;
      case "level": this.sources.levels[message.source] = message.to; break;
      case "pulse": this.sources.pulse(); break;
      case "post": this.waiting.push([message.kind, message.index, message.value]); break;
      case "tape": this.sources.tape = message.sound; this.sources.tapeAt = 0; break;
      case "script":
        this.script = message.script ? new ScriptPlayer(message.script, this.engine, message.sounds) : null;
        this.scriptAt = this.tick;
        this.scriptTicks = message.script ? Math.round(message.seconds * this.about.rateHz) : 0;
        break;
      case "begin": this.begin(); break;
    }
  }

  // Renders one block; microphone rows of the bus are filled before.
  render() {
    const ticks = this.block;
    if (this.script !== null && this.tick - this.scriptAt >= this.scriptTicks) this.script = null;
    this.sources.fill(ticks);
    if (this.script !== null) this.script.fill(this.tick - this.scriptAt, ticks);
    else this.fill(ticks);
    this.postWaiting();
    this.engine.render(ticks);
    this.keepOutputs(ticks);
    this.tick += ticks;
  }

  postWaiting() {
    let taken = 0;
    while (taken < this.waiting.length) {
      const [kind, index, value] = this.waiting[taken];
      if (!this.engine.post(kind, index, value)) break;
      taken++;
    }
    for (let n = taken; n < this.waiting.length; n++) this.waiting[n - taken] = this.waiting[n];
    this.waiting.length -= taken;
  }

  fill(ticks) {
    const {about, engine} = this;
    for (let at = 0; at < about.inputs.length; at++) {
      const input = about.inputs[at], cable = this.cvCables[at];
      if (input.kind === "knob") {
        engine.inputs[at] = knobReading(input, this.knobs[at]);
        continue;
      }
      let volts = 0;
      if (cable !== null) volts = cable.offset + cable.depth * cable.row[0] * (cable.audio ? AUDIO_AS_VOLTS : 1);
      this.volts[at] = volts;
      engine.inputs[at] = reading(input, volts);
    }
    for (let gate = 0; gate < about.gates.length; gate++) this.fillGate(gate, ticks);
    for (let channel = 0; channel < this.audioCables.length; channel++) {
      const cable = this.audioCables[channel], to = engine.audioIn[channel];
      if (cable === null) {
        to.fill(0, 0, ticks);
        continue;
      }
      const scale = cable.depth * (cable.audio ? 1 : 1 / about.voltsIn), offset = cable.offset / about.voltsIn;
      for (let i = 0; i < ticks; i++) to[i] = offset + scale * cable.row[i];
    }
  }

  fillGate(gate, ticks) {
    const cable = this.gateCables[gate], to = this.engine.gateVolts[gate], finger = this.fingerRow;
    this.fingers[gate].fill(finger, ticks);
    if (cable === null) {
      for (let i = 0; i < ticks; i++) to[i] = finger[i];
      return;
    }
    const scale = cable.depth * (cable.audio ? AUDIO_AS_VOLTS : 1);
    for (let i = 0; i < ticks; i++) to[i] = Math.max(finger[i], cable.offset + scale * cable.row[i]);
  }

  // What left the module can go back into it: one block later.
  keepOutputs(ticks) {
    const {engine, outputs, about} = this;
    for (let at = 0; at < engine.audioOut.length; at++) {
      const from = engine.audioOut[at], to = outputs[this.audioNames[at]];
      for (let i = 0; i < ticks; i++) to[i] = from[i] * about.voltsOut;
    }
    for (let at = 0; at < engine.cvOut.length; at++) {
      const from = engine.cvOut[at], to = outputs[this.cvNames[at]];
      for (let i = 0; i < ticks; i++) to[i] = from[i];
    }
    for (let at = 0; at < about.gateOut; at++) {
      const to = outputs[this.gateNames[at]];
      for (let i = 0; i < ticks; i++) to[i] = (engine.gatesOut[i] >>> at) & 1 ? 5 : 0;
    }
  }
}
