// The instrument in its WebAssembly: views of its memory, and one block at a time. Allocates nothing once it is made.

export class Engine {
  // bytes: the module; about: what the page knows of the instrument (firmware/ports/web/gallery.py).
  constructor(bytes, about) {
    const made = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
    this.calls = made.exports;
    this.about = about;
    const memory = made.exports.memory.buffer, most = made.exports.web_max_block();
    const floats = (address, rows) =>
      Array.from({length: rows}, (_, row) => new Float32Array(memory, address + 4 * row * most, most));
    this.mostTicks = most;
    this.inputs = new Float32Array(memory, made.exports.web_inputs(), about.inputs.length);
    this.gateVolts = floats(made.exports.web_gate_volts(), about.gates.length);
    this.audioIn = floats(made.exports.web_audio_in(), about.audioIn);
    this.audioOut = floats(made.exports.web_audio_out(), about.audioOut);
    this.cvOut = floats(made.exports.web_cv_out(), about.cvOut);
    this.gatesIn = new Uint32Array(memory, made.exports.web_gates_in(), most);
    this.gatesOut = new Uint32Array(memory, made.exports.web_gates_out(), most);
    this.positions = new Float32Array(memory, made.exports.web_positions(), about.parameters.length);
    this.begin();
  }

  // Power on.
  begin() {
    this.calls.web_begin();
    for (const row of [...this.audioOut, ...this.cvOut]) row.fill(0);
    this.gatesOut.fill(0);
    for (const table of this.about.tables || []) this.fill(table);
  }

  // A table of latents that it holds from the start: samples of 16 latents a frame, frame by frame.
  fill({which, hash, samples}) {
    const frames = samples.length / 16, {memory, web_table, web_table_write} = this.calls;
    for (let at = 0; at < frames; at += 8) {
      const piece = samples.slice(16 * at, 16 * (at + 8));
      new Int16Array(memory.buffer, web_table(), piece.length).set(piece);
      web_table_write(which, hash, at, piece.length / 16);
    }
    web_table_write(which, hash, frames, 0);
  }

  // A command of the remote; false: sixteen wait already.
  post(kind, index, value) {
    return this.calls.web_post(kind, index, value) !== 0;
  }

  render(ticks) {
    this.calls.web_render(ticks);
  }

  // Brings `positions` up to date.
  report() {
    this.calls.web_positions();
  }
}

// What a converter reads, 0 … 1, at so many volts.
export function reading(input, volts) {
  const part = (volts - input.low) / (input.high - input.low);
  return Math.min(Math.max(input.inverted ? 1 - part : part, 0), 1);
}

// What it reads with a knob at this position, 0 … 1.
export function knobReading(input, position) {
  return reading(input, input.travel[0] + position * (input.travel[1] - input.travel[0]));
}
