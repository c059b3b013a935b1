// The desk: the patch as it stands, what changes it, and who wants to know. Every change goes to the sound as a message.

import {emptyPatch, fromAddress, firstPatch, jacksOf, messagesOf, readPatch, toAddress} from "./patch.js";
import {Sound} from "./sound.js";

const REMEMBERED_AFTER_MS = 400;
const KNOB_MARGIN = 0.005; // of a knob's travel, lost at each end: engine/control/panel.c

export class Desk {
  constructor(page) {
    this.page = page;
    this.about = page.about;
    this.jacks = jacksOf(page.about);
    this.patch = firstPatch(page.about);
    this.tape = null; // the sound file, ±1
    this.seen = null; // the worklet's last answer
    this.listeners = [];
    this.sound = new Sound(page, (answer) => this.hear(answer));
    this.inputNumbers = new Map(this.about.inputs.map((input, at) => [input.name, at]));
    this.gateNumbers = new Map(this.about.gates.map((gate, at) => [gate.name, at]));
    this.parameterNumbers = new Map(this.about.parameters.map((one, at) => [one.name, at]));
  }

  // listener(what, detail): "patch" (all of it), "knob", "cable", "settings", "remote", "seen", "recorded", "error".
  listen(listener) {
    this.listeners.push(listener);
  }

  tell(what, detail) {
    for (const listener of this.listeners) listener(what, detail);
  }

  hear(answer) {
    if (answer.error) this.tell("error", answer.error);
    else if (answer.log) this.tell("recorded", answer);
    else {
      this.seen = answer;
      this.tell("seen", answer);
    }
  }

  change(message, what, detail) {
    this.sound.send(message);
    this.tell(what, detail);
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => this.remember(), REMEMBERED_AFTER_MS);
  }

  // The patch goes into the address, so that a reload or a copied link has it.
  remember() {
    try {
      history.replaceState(null, "", `#patch=${toAddress(this.patch)}`);
    } catch {
      // some browsers keep the address of a file as it is
    }
  }

  setKnob(name, position) {
    const to = Math.min(Math.max(position, 0), 1);
    this.patch.knobs[name] = to;
    this.change({do: "knob", at: this.inputNumbers.get(name), to}, "knob", name);
  }

  setRemote(name, position) {
    this.patch.remote[name] = position;
    const index = this.parameterNumbers.get(name);
    this.change({do: "post", kind: this.about.set, index, value: position}, "remote", name);
  }

  // A factory preset: its knobs turn, what has no knob is set; what it does not name rests. Cables stay.
  recall(preset) {
    const patch = JSON.parse(JSON.stringify(this.patch));
    patch.remote = {};
    for (const input of this.about.inputs) if (input.kind === "knob") patch.knobs[input.name] = input.rest;
    for (const parameter of this.about.parameters) {
      const to = preset.set[parameter.name] ?? parameter.rest;
      if (parameter.knob < 0) patch.remote[parameter.name] = to;
      else if (parameter.name in preset.set) {
        patch.knobs[this.about.inputs[parameter.knob].name] = KNOB_MARGIN + to * (1 - 2 * KNOB_MARGIN);
      }
    }
    this.load(patch);
  }

  plug(jack, cable) {
    if (cable) this.patch.cables[jack] = cable;
    else delete this.patch.cables[jack];
    this.change({do: "cable", jack, cable: cable || null}, "cable", jack);
  }

  setSource(source, settings) {
    Object.assign(this.patch.sources[source], settings);
    const to = JSON.parse(JSON.stringify(this.patch.sources[source]));
    this.change({do: "settings", source, to}, "settings", source);
  }

  setVolume(share) {
    this.patch.volume = share;
    this.sound.setVolume(share);
  }

  press(gate, on) {
    this.sound.send({do: "finger", at: this.gateNumbers.get(gate), to: on ? 1 : 0});
    this.tell("press", {gate, on});
  }

  setTape(sound) {
    this.tape = sound;
    this.sound.send({do: "tape", sound});
  }

  messages() {
    return messagesOf(this.about, this.patch, this.tape);
  }

  load(patch) {
    this.patch = patch;
    for (const message of this.messages()) this.sound.send(message);
    this.sound.setVolume(patch.volume);
    this.tell("patch");
    this.remember();
  }

  loadJson(told) {
    this.load(readPatch(this.about, told));
  }

  loadAddress() {
    const word = new URLSearchParams(location.hash.slice(1)).get("patch");
    if (!word) return;
    let told;
    try {
      told = fromAddress(word);
    } catch {
      throw new Error("The patch in this address is cut off; copy the whole link.");
    }
    this.load(readPatch(this.about, told));
  }

  clear() {
    this.load(emptyPatch(this.about));
  }

  async play() {
    if (this.sound.node === null) {
      await this.sound.start(this.messages());
      this.sound.setVolume(this.patch.volume);
    } else await this.sound.resume();
    this.tell("playing", true);
  }

  async pause() {
    await this.sound.pause();
    this.tell("playing", false);
  }
}
