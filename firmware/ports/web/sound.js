// The live instrument: an AudioContext at the module's rate, the worklet in it, and messages to both sides.

import {QUANTUM_TICKS, fifoTicks} from "./fifo.js";

// Loads the worklet from the page itself. A data: address works from file:// too; a blob: one does not everywhere.
export async function addWorklet(context, page) {
  if (!context.audioWorklet) throw new Error(whatIsMissing());
  try {
    await context.audioWorklet.addModule(`data:text/javascript;charset=utf-8,${encodeURIComponent(page.worklet)}`);
  } catch {
    const address = URL.createObjectURL(new Blob([page.worklet], {type: "text/javascript"}));
    await context.audioWorklet.addModule(address);
  }
}

// A module of one function with one SIMD instruction: valid only where there is SIMD.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

// One sentence about what this browser lacks, or nothing.
export function whatIsMissing() {
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(SIMD)) {
    return "This browser has no WebAssembly SIMD, in which the instrument is written; " +
      "open the page in Chrome 91, Firefox 89, Safari 16.4 or newer.";
  }
  if (typeof AudioWorkletNode === "undefined") {
    return "This browser has no AudioWorklet here, in which the instrument plays; " +
      "open the page from a file or by https://, in Chrome 66, Firefox 76, Safari 14.1 or newer.";
  }
  return "";
}

export class Sound {
  // told: called with every answer of the worklet.
  constructor(page, told) {
    this.page = page;
    this.told = told;
    this.context = null;
    this.node = null;
  }

  get runs() {
    return this.node !== null && this.context.state === "running";
  }

  // Called from a click, as browsers demand. messages: the patch.
  async start(messages) {
    const missing = whatIsMissing();
    if (missing) throw new Error(missing);
    const {about, bytes, outside} = this.page;
    this.context = new AudioContext({sampleRate: about.rateHz, latencyHint: "interactive"});
    if (this.context.sampleRate !== about.rateHz) {
      throw new Error(`This browser gives no sound at ${about.rateHz} Hz, the module's rate; try another one.`);
    }
    await addWorklet(this.context, this.page);
    this.node = new AudioWorkletNode(this.context, "instrument", {
      numberOfInputs: 1, outputChannelCount: [about.audioOut],
      channelCount: 2, channelCountMode: "max", channelInterpretation: "discrete",
      processorOptions: {bytes, about, outside, before: messages},
    });
    this.node.port.onmessage = ({data}) => this.told(data);
    this.node.onprocessorerror = () => this.told({error: "The instrument stopped; load the page again."});
    this.volume = new GainNode(this.context, {gain: 0});
    this.node.connect(this.volume).connect(this.context.destination);
    await this.context.resume();
  }

  send(message, moved = []) {
    if (this.node !== null) this.node.port.postMessage(message, moved);
  }

  setVolume(share) {
    if (this.node !== null) this.volume.gain.setTargetAtTime(share * share, this.context.currentTime, 0.01);
  }

  async pause() {
    await this.context.suspend();
  }

  async resume() {
    await this.context.resume();
  }

  // Milliseconds from the instrument to the ear, by part, and its own.
  latency() {
    const {about} = this.page, rate = about.rateHz;
    const parts = {
      instrument: (about.latencyTicks / rate) * 1e3,
      block: ((about.block + fifoTicks(about.block)) / rate) * 1e3,
      browser: this.context ? ((QUANTUM_TICKS / rate) + (this.context.baseLatency || 0) + (this.context.outputLatency || 0)) * 1e3 : 0,
    };
    return {...parts, all: parts.instrument + parts.block + parts.browser};
  }

  // Lets the microphone in.
  async openMicrophone() {
    if (!navigator.mediaDevices) {
      throw new Error("This browser lets no microphone in here; open the page by https:// or from a file.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 2},
      });
    } catch (error) {
      throw new Error(error.name === "NotFoundError"
        ? "There is no microphone here; plug one in, or drop a sound file on the page."
        : "The microphone was refused; allow it in the browser's settings for this page, or drop a sound file.");
    }
    this.context.createMediaStreamSource(stream).connect(this.node);
    this.stream = stream;
  }
}
