// What can be patched into a jack besides the module itself: computed per sample, beside the instrument.
//
// `volts` sources give volts; `audio` sources give ±1, which is full scale in an audio jack and ±5 V in a CV jack.

export const STEPS = 16;
export const SHAPES = ["sine", "triangle", "ramp up", "ramp down", "square"];
const HIGH_VOLTS = 5;
const LONGEST_LOW_TICKS = 24; // a note that follows another: so long the gate is low between them
const SHORTEST_PRESS_TICKS = 480;

// name → [title, unit]; the order is the order of the bus.
export const SOURCES = {
  lfo_1: ["LFO 1", "volts"],
  lfo_2: ["LFO 2", "volts"],
  lfo_3: ["LFO 3", "volts"],
  lfo_4: ["LFO 4", "volts"],
  random_1: ["Random 1", "volts"],
  random_2: ["Random 2", "volts"],
  clock: ["Clock", "volts"],
  bar: ["Clock, every 16th pulse", "volts"],
  steps: ["Sequencer, voltage", "volts"],
  steps_gate: ["Sequencer, gate", "volts"],
  keys: ["Keyboard, pitch", "volts"],
  keys_gate: ["Keyboard, gate", "volts"],
  midi: ["MIDI note, pitch", "volts"],
  midi_gate: ["MIDI note, gate", "volts"],
  midi_velocity: ["MIDI velocity", "volts"],
  midi_cc_1: ["MIDI controller 1", "volts"],
  midi_cc_2: ["MIDI controller 2", "volts"],
  midi_clock: ["MIDI clock", "volts"],
  mic_1: ["Microphone, left", "audio"],
  mic_2: ["Microphone, right", "audio"],
  tape: ["Sound file", "audio"],
};

// What a patch may set of them, with where each begins.
export function restingSettings() {
  const lfo = (rate) => ({rate, shape: 0});
  return {
    lfo_1: lfo(0.2), lfo_2: lfo(0.53), lfo_3: lfo(1.7), lfo_4: lfo(6),
    random_1: {rate: 2, smooth: 0}, random_2: {rate: 0.5, smooth: 1},
    clock: {bpm: 116},
    steps: {
      values: [0.1, 0.6, 0.3, 0.8, 0.2, 0.5, 0.9, 0.4, 0.1, 0.7, 0.3, 0.6, 0.2, 1, 0.5, 0.8],
      gates: [1, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0],
      length: STEPS,
    },
    tape: {playing: 1},
  };
}

class Lfo {
  begin() {
    this.phase = 0;
  }

  fill(out, ticks, rateHz, {rate, shape}) {
    const step = rate / rateHz;
    let phase = this.phase;
    for (let i = 0; i < ticks; i++) {
      let value;
      if (shape === 0) value = Math.sin(2 * Math.PI * phase);
      else if (shape === 1) value = phase < 0.25 ? 4 * phase : phase < 0.75 ? 2 - 4 * phase : 4 * phase - 4;
      else if (shape === 2) value = 2 * phase - 1;
      else if (shape === 3) value = 1 - 2 * phase;
      else value = phase < 0.5 ? 1 : -1;
      out[i] = HIGH_VOLTS * value;
      phase += step;
      if (phase >= 1) phase -= 1;
    }
    this.phase = phase;
  }
}

// A new voltage `rate` times a second: at once, or in a straight line over the `smooth` part of the time.
class Random {
  constructor(seed) {
    this.seed = seed;
    this.begin();
  }

  begin() {
    this.phase = 0;
    this.word = this.seed;
    this.from = this.draw();
    this.to = this.draw();
  }

  draw() {
    let word = this.word; // xorshift32
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    this.word = word >>> 0;
    return (this.word / 4294967296 - 0.5) * 2 * HIGH_VOLTS;
  }

  fill(out, ticks, rateHz, {rate, smooth}) {
    for (let i = 0; i < ticks; i++) {
      const share = smooth > 0 ? Math.min(this.phase / smooth, 1) : 1;
      out[i] = this.from + (this.to - this.from) * share;
      this.phase += rate / rateHz;
      if (this.phase >= 1) {
        this.phase -= 1;
        this.from = this.to;
        this.to = this.draw();
      }
    }
  }
}

// Sixteenths: `clock` is high in the first half of each, `bar` in every sixteenth one, steps follow it.
class Clock {
  begin() {
    this.phase = 0;
    this.pulse = 0;
  }

  fill(bus, ticks, rateHz, {bpm}, steps) {
    const step = (bpm / 60) * 4 / rateHz, {clock, bar, steps: volts, steps_gate: gate} = bus;
    for (let i = 0; i < ticks; i++) {
      const high = this.phase < 0.5 ? HIGH_VOLTS : 0, at = this.pulse % steps.length;
      clock[i] = high;
      bar[i] = this.pulse % 16 === 0 ? high : 0;
      volts[i] = HIGH_VOLTS * steps.values[at];
      gate[i] = steps.gates[at] ? high : 0;
      this.phase += step;
      if (this.phase >= 1) {
        this.phase -= 1;
        this.pulse++;
      }
    }
  }
}

// A gate that hands open and close: long enough to be seen by a block, and open anew at every note.
export class Hand {
  begin() {
    this.held = 0;
    this.least = 0;
    this.low = 0;
  }

  set(on, anew) {
    if (on) {
      if (anew && (this.held || this.least > 0)) this.low = LONGEST_LOW_TICKS;
      this.least = SHORTEST_PRESS_TICKS;
    }
    this.held = on;
  }

  fill(out, ticks) {
    for (let i = 0; i < ticks; i++) {
      if (this.low > 0) {
        this.low--;
        out[i] = 0;
      } else {
        out[i] = this.held || this.least > 0 ? HIGH_VOLTS : 0;
        if (this.least > 0) this.least--;
      }
    }
  }
}

export class Sources {
  // most: samples of the longest block.
  constructor(rateHz, most) {
    this.rateHz = rateHz;
    this.bus = {};
    for (const name of Object.keys(SOURCES)) this.bus[name] = new Float32Array(most);
    this.settings = restingSettings();
    this.lfos = ["lfo_1", "lfo_2", "lfo_3", "lfo_4"];
    this.randoms = ["random_1", "random_2"];
    this.hands = ["keys_gate", "midi_gate", "midi_clock"];
    this.makers = {clock: new Clock()};
    for (const name of this.lfos) this.makers[name] = new Lfo();
    this.randoms.forEach((name, at) => (this.makers[name] = new Random(0x9e3779b9 + 77777 * at)));
    for (const name of this.hands) this.makers[name] = new Hand();
    this.levels = {keys: 0, midi: 0, midi_velocity: 0, midi_cc_1: 0, midi_cc_2: 0};
    this.held = Object.keys(this.levels);
    this.tape = null;
    this.begin();
  }

  // Every source from its start.
  begin() {
    for (const name of Object.keys(this.makers)) this.makers[name].begin();
    for (const name of this.held) this.levels[name] = 0;
    this.tapeAt = 0;
  }

  note(name, on, volts, velocity) {
    if (on) {
      this.levels[name] = volts;
      if (name === "midi") this.levels.midi_velocity = HIGH_VOLTS * velocity;
    }
    this.makers[`${name}_gate`].set(on, true);
  }

  pulse() {
    this.makers.midi_clock.set(1, true);
    this.makers.midi_clock.held = 0;
  }

  // One block of every source; the microphone's rows are filled by whoever has it.
  fill(ticks) {
    const {bus, settings, makers, rateHz} = this;
    for (let n = 0; n < this.lfos.length; n++) {
      const name = this.lfos[n];
      makers[name].fill(bus[name], ticks, rateHz, settings[name]);
    }
    for (let n = 0; n < this.randoms.length; n++) {
      const name = this.randoms[n];
      makers[name].fill(bus[name], ticks, rateHz, settings[name]);
    }
    makers.clock.fill(bus, ticks, rateHz, settings.clock, settings.steps);
    for (let n = 0; n < this.hands.length; n++) makers[this.hands[n]].fill(bus[this.hands[n]], ticks);
    for (let n = 0; n < this.held.length; n++) bus[this.held[n]].fill(this.levels[this.held[n]], 0, ticks);
    this.fillTape(ticks);
  }

  fillTape(ticks) {
    const {tape, bus} = this, out = bus.tape;
    if (tape === null || tape.length === 0 || !this.settings.tape.playing) {
      out.fill(0, 0, ticks);
      return;
    }
    for (let i = 0; i < ticks; i++) {
      out[i] = tape[this.tapeAt];
      this.tapeAt = this.tapeAt + 1 < tape.length ? this.tapeAt + 1 : 0;
    }
  }
}
