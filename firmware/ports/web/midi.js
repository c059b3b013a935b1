// MIDI in: what the instrument's own table says (firmware/midi/player.py), and beside it notes, velocity, controllers
// and clock as sockets, and any controller on any knob.

import {commandOf} from "./script.js";

const NOTE_OFF = 0x80, NOTE_ON = 0x90, CONTROL = 0xb0, WHEEL = 0xe0, CLOCK = 0xf8, START = 0xfa, CONTINUE = 0xfb, STOP = 0xfc;
const ALL_SOUND_OFF = 120, ALL_NOTES_OFF = 123;
const LOWEST_NOTE = 48; // 0 V: C3
const CLOCKS_PER_PULSE = 6; // 24 a quarter note: sixteenths

export class Midi {
  constructor(desk) {
    this.desk = desk;
    this.state = "Not connected.";
    this.told = () => {};
    this.knobOf = new Map(); // controller → knob
    this.socketOf = new Map([[1, "midi_cc_1"], [74, "midi_cc_2"]]);
    this.waiting = null; // {knob} or {socket}
    this.held = [];
    this.clocks = 0;
    this.map = new MidiMap(desk);
    desk.listen((what, name) => {
      if (what === "touched" && this.waiting && !this.waiting.socket) {
        this.waiting = {knob: name};
        this.say(`Now move a controller for ${name.replace("_", " ")}.`);
      }
    });
  }

  say(words) {
    this.state = words;
    this.told(words);
  }

  async open() {
    if (!navigator.requestMIDIAccess) {
      this.say("This browser has no MIDI; Chrome, Edge and Firefox have.");
      return;
    }
    try {
      this.access = await navigator.requestMIDIAccess();
    } catch {
      this.say("MIDI was refused; allow it in the browser's settings for this page.");
      return;
    }
    const connect = () => {
      const inputs = [...this.access.inputs.values()];
      for (const input of inputs) input.onmidimessage = ({data}) => this.hear(data);
      this.say(inputs.length ? `Listens to ${inputs.map(({name}) => name).join(", ")}.` : "No MIDI device is plugged in; it will be found.");
    };
    this.access.onstatechange = connect;
    connect();
  }

  learn() {
    this.waiting = {};
    this.say("Touch a knob of the panel, then move a controller.");
  }

  learnSocket(socket) {
    this.waiting = {socket};
    this.say("Move a controller.");
  }

  // data: the bytes of one message.
  hear(data) {
    const kind = data[0] >= 0xf0 ? data[0] : data[0] & 0xf0;
    if (kind !== CONTROL || !this.learns(data[1])) this.map.hear(kind, data);
    if (kind === NOTE_ON && data[2] > 0) this.noteOn(data[1], data[2] / 127);
    else if (kind === NOTE_OFF || kind === NOTE_ON) this.noteOff(data[1]);
    else if (kind === CONTROL) this.control(data[1], data[2] / 127);
    else if (kind === START) this.clocks = 0;
    else if (kind === CLOCK && this.clocks++ % CLOCKS_PER_PULSE === 0) this.desk.sound.send({do: "pulse"});
  }

  // Whether a controller is being learnt, or was: then it turns its knob alone.
  learns(number) {
    return this.waiting !== null || this.knobOf.has(number);
  }

  noteOn(note, velocity) {
    this.held = [...this.held.filter((one) => one !== note), note];
    this.desk.sound.send({do: "note", source: "midi", on: 1, volts: (note - LOWEST_NOTE) / 12, velocity});
  }

  noteOff(note) {
    this.held = this.held.filter((one) => one !== note);
    if (this.held.length === 0) this.desk.sound.send({do: "note", source: "midi", on: 0, volts: 0, velocity: 0});
  }

  control(number, value) {
    if (this.waiting && this.waiting.knob) {
      this.knobOf.set(number, this.waiting.knob);
      this.say(`Controller ${number} turns ${this.waiting.knob.replace("_", " ")}.`);
      this.waiting = null;
    } else if (this.waiting && this.waiting.socket) {
      this.socketOf.set(number, this.waiting.socket);
      this.say(`Controller ${number} is ${this.waiting.socket === "midi_cc_1" ? "CC a" : "CC b"}.`);
      this.waiting = null;
    }
    const knob = this.knobOf.get(number), socket = this.socketOf.get(number);
    if (knob) this.desk.setKnob(knob, value);
    if (socket) this.desk.sound.send({do: "level", source: socket, to: 5 * value});
  }
}

// The instrument's table.
class MidiMap {
  constructor(desk) {
    this.desk = desk;
    this.table = desk.about.midi;
    this.held = new Map(); // gate → keys that hold it
    this.sounding = new Map(); // channel and key → gates
    this.lanes = this.table ? this.table.keys.map(() => ({key: null, note: -1, since: 0})) : []; // of each entry
    this.moment = 0;
    this.bent = 0; // semitones
    this.last = -1; // key
    this.pulses = 0;
    this.running = true;
  }

  hear(kind, data) {
    const {table} = this;
    if (!table) return;
    if (kind >= 0xf0) this.transport(kind);
    else if (table.channel === null || table.channel === (data[0] & 0x0f) + 1) {
      const key = `${data[0] & 0x0f}/${data[1]}`;
      if (kind === NOTE_ON && data[2] > 0) this.press(key, data[1], data[2] / 127);
      else if (kind === NOTE_OFF || kind === NOTE_ON) this.release(key);
      else if (kind === CONTROL) this.turn(data[1], data[2] / 127);
      else if (kind === WHEEL) this.bend(data[1] + 128 * data[2] - 8192);
    }
  }

  // Numbers of a key's entries: of those that lie side by side, the one that was let go first, else pressed first.
  of(note) {
    const {keys} = this.table, found = [];
    keys.forEach((entry, number) => {
      if (entry.lane !== 0 || note < entry.low || note > entry.high) return;
      let best = number;
      for (let at = number; at < number + entry.lanes; at++) {
        const one = this.lanes[at], other = this.lanes[best], held = one.key !== null;
        if (held === (other.key !== null) ? one.since < other.since : !held) best = at;
      }
      found.push(best);
    });
    return found;
  }

  // The pitch of a note, with the wheel.
  tune(entry, note) {
    const [low, high] = entry.pitchVolts, volts = (note + this.bent - entry.middle) / 12;
    for (const column of entry.pitch) this.move(column, Math.min(Math.max((volts - low) / (high - low), 0), 1));
  }

  bend(wheel) {
    this.bent = this.table.bend * wheel / 8192;
    this.table.keys.forEach((entry, number) => {
      const note = entry.lanes > 1 ? this.lanes[number].note : this.last;
      if (note >= entry.low && note <= entry.high) this.tune(entry, note);
    });
  }

  move(column, value) {
    if (this.desk.parameterNumbers.has(column)) {
      this.desk.setRemote(column, value);
      return;
    }
    const [kind, index, told] = commandOf(this.desk.about, column, value);
    this.desk.sound.send({do: "post", kind, index, value: told});
  }

  transport(kind) {
    if (kind === START) {
      this.pulses = 0;
      if (this.table.start) this.move("reset", 1);
    }
    if (kind === CLOCK && this.running && this.table.clock !== null) {
      if (this.pulses++ % this.table.clock === 0) {
        this.freeClock();
        this.move("clock", 1);
      }
    } else if (kind === START || kind === CONTINUE || kind === STOP) this.running = kind !== STOP;
  }

  // The page's own clock makes room for the one that comes by MIDI.
  freeClock() {
    for (const [jack, {from}] of Object.entries(this.desk.patch.cables)) {
      if (from === "clock" && this.desk.jacks[jack].moves === "clock") this.desk.plug(jack, null);
    }
  }

  press(key, note, velocity) {
    this.last = note;
    this.moment++;
    for (const number of this.of(note)) {
      const entry = this.table.keys[number], lane = this.lanes[number], held = lane.key !== null;
      Object.assign(lane, {key, note, since: this.moment});
      for (const [column, position] of entry.sets) this.move(column, position);
      for (const column of entry.velocity) this.move(column, velocity);
      this.tune(entry, note);
      if (entry.gate && entry.lanes > 1) {
        if (!held) this.move(entry.gate, 1);
      } else if (entry.gate) {
        const count = (this.held.get(entry.gate) || 0) + 1;
        this.held.set(entry.gate, count);
        this.sounding.set(key, [...(this.sounding.get(key) || []), entry.gate]);
        if (count === 1) this.move(entry.gate, 1);
      }
      if (entry.strikes) this.move(entry.strikes, velocity);
    }
  }

  release(key) {
    for (const gate of this.sounding.get(key) || []) {
      const count = this.held.get(gate) - 1;
      this.held.set(gate, count);
      if (count === 0) this.move(gate, 0);
    }
    this.sounding.delete(key);
    this.moment++;
    this.lanes.forEach((lane, number) => {
      if (lane.key !== key) return;
      Object.assign(lane, {key: null, since: this.moment});
      const {gate, lanes} = this.table.keys[number];
      if (gate && lanes > 1) this.move(gate, 0);
    });
  }

  releaseAll() {
    const held = this.lanes.map(({key}) => key).filter((key) => key !== null);
    const number = (key) => key.split("/").reduce((sum, part) => 128 * sum + Number(part), 0);
    const all = [...new Set([...this.sounding.keys(), ...held])].sort((a, b) => number(a) - number(b));
    for (const key of all) this.release(key);
  }

  // A controller turns the knob of the panel where its parameter has one here.
  turn(number, value) {
    const {about, parameterNumbers} = this.desk;
    for (const {cc, columns, range: [low, high]} of this.table.controllers) {
      if (cc !== number) continue;
      const position = low + (high - low) * value;
      for (const column of columns) {
        const {knob} = about.parameters[parameterNumbers.get(column)];
        if (knob >= 0) this.desk.setKnob(about.inputs[knob].name, position);
        else this.move(column, position);
      }
    }
    if (number === ALL_SOUND_OFF || number === ALL_NOTES_OFF) this.releaseAll();
  }
}
