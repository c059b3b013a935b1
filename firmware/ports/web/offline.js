// What was played, rendered again: by the same code on the audio thread of an OfflineAudioContext, faster than time.

import {fifoTicks} from "./fifo.js";
import {addWorklet} from "./sound.js";

// take: {before: messages of the patch, messages: [[tick, message]], ticks, wide, mic}; rows of samples come back: audio, and with
// `wide` CV and gates too.
export async function renderTake(page, take) {
  const {about, bytes, outside} = page, late = fifoTicks(about.block);
  const rows = about.audioOut + (take.wide ? about.cvOut + about.gateOut : 0);
  const context = new OfflineAudioContext(rows, take.ticks + late, about.rateHz);
  await addWorklet(context, page);
  const node = new AudioWorkletNode(context, "instrument", {
    numberOfInputs: 0, outputChannelCount: [rows], processorOptions: {bytes, about, outside, before: take.before, take},
  });
  const broken = new Promise((_, refuse) => {
    node.onprocessorerror = () => refuse(new Error("the instrument stopped while it was rendered; load the page again"));
  });
  node.connect(context.destination);
  const made = await Promise.race([context.startRendering(), broken]);
  return Array.from({length: rows}, (_, row) => made.getChannelData(row).subarray(late));
}

// A WAV of 32-bit floats.
export function wavOf(rows, rateHz) {
  const channels = rows.length, frames = rows[0].length, bytes = frames * channels * 4;
  const view = new DataView(new ArrayBuffer(58 + bytes));
  const text = (at, word) => [...word].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 50 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 18, true);
  view.setUint16(20, 3, true); // IEEE float
  view.setUint16(22, channels, true);
  view.setUint32(24, rateHz, true);
  view.setUint32(28, rateHz * channels * 4, true);
  view.setUint16(32, channels * 4, true);
  view.setUint16(34, 32, true);
  view.setUint16(36, 0, true);
  text(38, "fact");
  view.setUint32(42, 4, true);
  view.setUint32(46, frames, true);
  text(50, "data");
  view.setUint32(54, bytes, true);
  const samples = new Float32Array(frames * channels);
  rows.forEach((row, channel) => {
    for (let i = 0; i < frames; i++) samples[i * channels + channel] = row[i];
  });
  new Uint8Array(view.buffer, 58).set(new Uint8Array(samples.buffer));
  return new Blob([view.buffer], {type: "audio/wav"});
}
