// The audio thread: blocks of the board's size out of the browser's quanta, through a FIFO. `process` allocates nothing.

import {Rig} from "./rig.js";
import {QUANTUM_TICKS, fifoTicks} from "./fifo.js";
import {playerOf} from "./outside.js";

const FAST_TICKS = 2048; // of an audio output, for its scope
const SLOW_BLOCKS = 2048; // one value a block of everything slow

class InstrumentProcessor extends AudioWorkletProcessor {
  // processorOptions: bytes, about, outside, before: the patch as messages; take: {messages, wide, mic} for a rendering.
  constructor({processorOptions: {bytes, about, outside, before, take = null}}) {
    super();
    this.rig = new Rig(bytes, about);
    this.take = take;
    this.taken = 0;
    this.log = null;
    const block = about.block, {engine} = this.rig;
    const rows = engine.audioOut.length + (take && take.wide ? engine.cvOut.length + about.gateOut : 0);
    const length = 4 * Math.max(block, QUANTUM_TICKS);
    this.fifo = Array.from({length: rows}, () => new Float32Array(length));
    this.fifoLength = length;
    this.written = fifoTicks(block);
    this.read = 0;
    this.collected = 0;
    this.player = take && take.wide ? null : playerOf(outside, engine.mostTicks, about.rateHz);
    this.heard = this.player ? this.player.rows : engine.audioOut;
    this.fast = engine.audioOut.map(() => new Float32Array(FAST_TICKS));
    this.fastAt = 0;
    this.slow = new Float32Array(SLOW_BLOCKS * (engine.cvOut.length + about.gateOut + about.inputs.length));
    this.slowAt = 0;
    this.peaks = new Float32Array(engine.audioOut.length);
    this.mic = [this.rig.sources.bus.mic_1, this.rig.sources.bus.mic_2];
    this.micKept = null;
    for (const message of before) this.rig.hear(message);
    this.port.onmessage = ({data}) => this.hear(data);
  }

  hear(message) {
    if (message.do === "look") this.show();
    else if (message.do === "record") this.record(message);
    else {
      if (this.log !== null) this.log.push([this.rig.tick, message]);
      this.rig.hear(message);
    }
  }

  // A recording begins with power on, so that it can be rendered again.
  record({on, micTicks}) {
    if (on) {
      this.rig.begin();
      this.log = [];
      this.micKept = micTicks ? [new Float32Array(micTicks), new Float32Array(micTicks)] : null;
    } else if (this.log !== null) {
      this.port.postMessage({log: this.log, ticks: this.rig.tick, mic: this.micKept});
      this.log = null;
      this.micKept = null;
    }
  }

  show() {
    const {engine, about} = this.rig;
    engine.report();
    this.port.postMessage({
      tick: this.rig.tick, positions: engine.positions.slice(), peaks: this.peaks.slice(),
      fast: this.fast.map((row) => row.slice()), fastAt: this.fastAt, slow: this.slow.slice(), slowAt: this.slowAt,
      gatesIn: engine.gatesIn[about.block - 1], gatesOut: engine.gatesOut[about.block - 1],
      script: this.rig.script === null ? -1 : (this.rig.tick - this.rig.scriptAt) / about.rateHz,
      step: this.rig.sources.makers.clock.pulse,
    });
    this.peaks.fill(0);
  }

  process(inputs, outputs) {
    const out = outputs[0], ticks = out[0].length, mic = inputs.length ? inputs[0] : null, {block} = this.rig;
    for (let i = 0; i < ticks; i++) {
      if (this.take === null) {
        const heard = mic !== null && mic.length > 0;
        this.mic[0][this.collected] = heard ? mic[0][i] : 0;
        this.mic[1][this.collected] = heard ? mic[mic.length > 1 ? 1 : 0][i] : 0;
      }
      if (++this.collected === block) {
        this.renderBlock();
        this.collected = 0;
      }
    }
    for (let row = 0; row < out.length && row < this.fifo.length; row++) {
      const from = this.fifo[row], to = out[row];
      for (let i = 0, at = this.read; i < ticks; i++, at = at + 1 === this.fifoLength ? 0 : at + 1) to[i] = from[at];
    }
    this.read = (this.read + ticks) % this.fifoLength;
    return true;
  }

  renderBlock() {
    const {rig, take} = this, {block, engine} = rig;
    if (take !== null) {
      while (this.taken < take.messages.length && take.messages[this.taken][0] <= rig.tick) {
        rig.hear(take.messages[this.taken++][1]);
      }
      if (take.mic) this.playMic(take.mic, rig.tick, block);
    } else if (this.micKept !== null) this.keepMic(rig.tick, block);
    rig.render();
    let row = 0;
    if (this.player !== null) this.player.render(engine, block);
    for (let c = 0; c < engine.audioOut.length; c++) this.push(row++, this.heard[c], block);
    for (let c = 0; row < this.fifo.length && c < engine.cvOut.length; c++) this.push(row++, engine.cvOut[c], block);
    for (let gate = 0; row < this.fifo.length; gate++, row++) {
      for (let i = 0, at = this.written; i < block; i++, at = at + 1 === this.fifoLength ? 0 : at + 1) {
        this.fifo[row][at] = (engine.gatesOut[i] >>> gate) & 1;
      }
    }
    this.written = (this.written + block) % this.fifoLength;
    if (take === null) this.watch(block);
  }

  push(row, from, block) {
    const to = this.fifo[row];
    for (let i = 0, at = this.written; i < block; i++, at = at + 1 === this.fifoLength ? 0 : at + 1) to[at] = from[i];
  }

  keepMic(tick, block) {
    for (let c = 0; c < 2; c++) {
      const kept = this.micKept[c];
      for (let i = 0; i < block && tick + i < kept.length; i++) kept[tick + i] = this.mic[c][i];
    }
  }

  playMic(kept, tick, block) {
    for (let c = 0; c < 2; c++) {
      for (let i = 0; i < block; i++) this.mic[c][i] = tick + i < kept[c].length ? kept[c][tick + i] : 0;
    }
  }

  // Scopes and meters: rings that `show` copies.
  watch(block) {
    const {engine, about, volts} = this.rig;
    for (let c = 0; c < engine.audioOut.length; c++) {
      const from = this.heard[c], to = this.fast[c];
      let peak = this.peaks[c];
      for (let i = 0; i < block; i++) {
        to[(this.fastAt + i) % FAST_TICKS] = from[i];
        peak = Math.max(peak, Math.abs(from[i]));
      }
      this.peaks[c] = peak;
    }
    this.fastAt = (this.fastAt + block) % FAST_TICKS;
    let row = this.slowAt;
    for (let c = 0; c < engine.cvOut.length; c++, row += SLOW_BLOCKS) this.slow[row] = engine.cvOut[c][block - 1];
    let high = 0;
    for (let i = 0; i < block; i++) high |= engine.gatesOut[i];
    for (let gate = 0; gate < about.gateOut; gate++, row += SLOW_BLOCKS) this.slow[row] = (high >>> gate) & 1 ? 5 : 0;
    for (let at = 0; at < about.inputs.length; at++, row += SLOW_BLOCKS) this.slow[row] = volts[at];
    this.slowAt = (this.slowAt + 1) % SLOW_BLOCKS;
  }
}

registerProcessor("instrument", InstrumentProcessor);
