// MIDI in: notes, velocity, controllers and clock as sockets, and any controller on any knob.

const NOTE_OFF = 0x80, NOTE_ON = 0x90, CONTROL = 0xb0, CLOCK = 0xf8, START = 0xfa;
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
    if (kind === NOTE_ON && data[2] > 0) this.noteOn(data[1], data[2] / 127);
    else if (kind === NOTE_OFF || kind === NOTE_ON) this.noteOff(data[1]);
    else if (kind === CONTROL) this.control(data[1], data[2] / 127);
    else if (kind === START) this.clocks = 0;
    else if (kind === CLOCK && this.clocks++ % CLOCKS_PER_PULSE === 0) this.desk.sound.send({do: "pulse"});
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
