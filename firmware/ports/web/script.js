// A CV script, played as `vaectrol play` plays it: the same readings to the last bit (firmware/script/cv_script.py).

import {reading, knobReading} from "./engine.js";

const GATE_VOLTS = 5;

// Python's round(): halves go to the even number.
function roundHalfEven(value) {
  const floor = Math.floor(value), rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

// Kind, index and value of the command that a column of the remote gives; null for a jack.
export function commandOf(about, name, value) {
  const parameter = about.parameters.findIndex((one) => one.name === name), [kind, which] = name.split("/");
  if (parameter >= 0) return [about.set, parameter, value];
  if (kind === "trigger" && which) return [about.events.trigger, Number(which) - 1, value];
  if (kind === "gate" && about.gateFunctions.includes(which)) return [about.gate, about.gateFunctions.indexOf(which), value];
  if (name === "trigger") return [about.events.trigger, value - 1, 1];
  if (name in about.events) return [about.events[name], name === "preset" || name === "save" ? value - 1 : 0, 0];
  return null;
}

// The column that gives a command, as `vaectrol play` reads it, and its value there.
export function columnOf(about, kind, index, value) {
  if (kind === about.set) return [about.parameters[index].name, value];
  if (kind === about.gate) return [`gate/${about.gateFunctions[index]}`, value];
  if (kind === about.events.trigger) return [`trigger/${index + 1}`, value];
  const name = Object.keys(about.events).find((one) => about.events[one] === kind);
  return [name, name === "preset" || name === "save" ? index + 1 : 1];
}

// A column as straight lines between its knots, read at rising times.
class Line {
  constructor(times, values) {
    this.times = times;
    this.values = values;
    this.at = 0;
  }

  read(time) {
    const {times, values} = this, last = times.length - 1;
    if (time < times[0]) return values[0];
    while (this.at < last && times[this.at + 1] <= time) this.at++;
    const at = this.at;
    if (at === last || times[at] === time) return values[at];
    const slope = (values[at + 1] - values[at]) / (times[at + 1] - times[at]);
    return slope * (time - times[at]) + values[at];
  }
}

// A column whose values are held.
class Steps {
  constructor(times, values) {
    this.times = times;
    this.values = values;
    this.at = -1;
  }

  read(time) {
    while (this.at + 1 < this.times.length && this.times[this.at + 1] <= time) this.at++;
    const value = this.at < 0 ? 0 : this.values[this.at];
    return value > 0 && value <= 1 ? value * GATE_VOLTS : value;
  }
}

// Plays {columns: {name: [times, values]}} into an engine, block after block from the first sample.
export class ScriptPlayer {
  // sounds: {jack: Float32Array}, ±1; they win over the script.
  constructor(script, engine, sounds = {}) {
    const {about} = engine, columns = script.columns;
    this.engine = engine;
    this.rate = about.rateHz;
    this.inputs = about.inputs.map((input) =>
      columns[input.name] && columns[input.name][0].length ? new Line(...columns[input.name]) : null);
    this.resting = about.inputs.map((input) =>
      input.kind === "knob" ? knobReading(input, input.rest) : reading(input, 0));
    this.gates = about.gates.map((gate) => (columns[gate.name] ? new Steps(...columns[gate.name]) : null));
    this.audio = engine.audioIn.map((_, at) => {
      const name = `audio_in_${at + 1}`;
      if (sounds[name]) return sounds[name];
      return columns[name] && columns[name][0].length ? new Line(...columns[name]) : null;
    });
    this.events = this.eventsOf(columns);
    this.begin();
  }

  eventsOf(columns) {
    const found = [];
    for (const [name, [times, values]] of Object.entries(columns)) {
      times.forEach((time, at) => {
        const command = commandOf(this.engine.about, name, values[at]);
        if (command !== null) found.push([roundHalfEven(time * this.rate), ...command]);
      });
    }
    return found.sort((one, other) => one[0] - other[0]);
  }

  begin() {
    this.posted = 0;
    for (const line of [...this.inputs, ...this.audio]) if (line instanceof Line) line.at = 0;
    for (const steps of this.gates) if (steps) steps.at = -1;
  }

  // Everything the block that begins at `tick` reads.
  fill(tick, ticks) {
    const {engine, rate} = this, {about} = engine;
    for (let at = 0; at < this.inputs.length; at++) {
      const input = about.inputs[at], line = this.inputs[at];
      if (line === null) engine.inputs[at] = this.resting[at];
      else {
        const value = line.read(tick / rate);
        engine.inputs[at] = input.kind === "knob" ? knobReading(input, value) : reading(input, value);
      }
    }
    for (let gate = 0; gate < this.gates.length; gate++) {
      const steps = this.gates[gate], volts = engine.gateVolts[gate];
      for (let i = 0; i < ticks; i++) volts[i] = steps === null ? 0 : steps.read((tick + i) / rate);
    }
    for (let channel = 0; channel < this.audio.length; channel++) {
      const from = this.audio[channel], to = engine.audioIn[channel];
      for (let i = 0; i < ticks; i++) {
        if (from === null) to[i] = 0;
        else if (from instanceof Line) to[i] = from.read((tick + i) / rate) / about.voltsIn;
        else to[i] = tick + i < from.length ? from[tick + i] : 0;
      }
    }
    while (this.posted < this.events.length && this.events[this.posted][0] < tick + ticks) {
      const event = this.events[this.posted];
      if (!engine.post(event[1], event[2], event[3])) break;
      this.posted++;
    }
  }
}
