// The page: reads what was written into it, and brings its parts together.

import {Bay, make} from "./bay.js";
import {Cables} from "./cables.js";
import {comparePairs} from "./compare.js";
import {Desk} from "./desk.js";
import {Midi} from "./midi.js";
import {renderTake} from "./offline.js";
import {Panel, called, pressable} from "./panel.js";
import {firstPatch, titled} from "./patch.js";
import {Presets} from "./presets.js";
import {Recorder, scriptOfTake, wavOfTake} from "./recorder.js";
import {Scopes} from "./scope.js";
import {whatIsMissing} from "./sound.js";

const PADS = "zxcvbnm";
const RENDERED_S = 10;

const $ = (id) => document.getElementById(id);

export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function readPage() {
  const told = JSON.parse($("instrument").textContent);
  const sound = (text) => Float32Array.from(new Int16Array(bytesOf(text).buffer), (code) => code / 32768);
  const hits = told.hits && told.hits.map((hit) => ({...hit, sound: sound(hit.sound)}));
  return {...told, outside: told.notes || hits ? {notes: told.notes, hits} : null, ...window.unpacked};
}

// Decodes a sound into one channel at the module's rate.
async function decoded(bytes, rateHz, name) {
  try {
    const sound = await new OfflineAudioContext(1, 1, rateHz).decodeAudioData(bytes);
    const mono = new Float32Array(sound.length);
    for (let c = 0; c < sound.numberOfChannels; c++) {
      const row = sound.getChannelData(c);
      for (let i = 0; i < row.length; i++) mono[i] += row[i] / sound.numberOfChannels;
    }
    return mono;
  } catch {
    throw new Error(`${name} is no sound that this browser can read; try a WAV, FLAC or MP3 file.`);
  }
}

function save(blob, name) {
  const link = make("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

class Page {
  constructor() {
    this.page = readPage();
    this.about = this.page.about;
    const desk = (this.desk = new Desk(this.page));
    desk.listen((what, detail) => this.hear(what, detail));
    this.recorder = new Recorder(desk);
    this.midi = new Midi(desk);
    this.cables = new Cables(desk, $("stage"), $("sheet"));
    this.panel = new Panel($("panel"), desk, (...words) => this.say(...words), (name, part) => this.cables.choose(name, part));
    this.bay = new Bay($("bay"), desk, this.midi);
    this.scopes = new Scopes($("scopes"), desk);
    this.presets = new Presets($("patches"), desk, (words) => this.warn(words));
    this.pads();
    this.remote();
    this.wire();
    comparePairs(document);
    const missing = whatIsMissing();
    if (missing) this.warn(missing);
    else this.readPhrase();
    this.fromAddress();
    requestAnimationFrame(() => this.look());
  }

  async readPhrase() {
    if (!this.page.phrase) return;
    try {
      const bytes = bytesOf(this.page.phrase.sound);
      this.phrase = await decoded(bytes.buffer, this.about.rateHz, this.page.phrase.name);
      if (this.desk.tape === null) this.desk.setTape(this.phrase);
    } catch (error) {
      this.warn(error.message);
    }
  }

  fromAddress() {
    try {
      this.desk.loadAddress();
    } catch (error) {
      this.warn(error.message);
    }
    this.cables.draw();
  }

  hear(what, detail) {
    if (what === "error") this.warn(detail);
    else if (what === "file") this.takeFile(detail);
    else if (what === "playing") {
      $("play").setAttribute("aria-pressed", String(detail));
      $("play").querySelector("span").textContent = detail ? "Pause" : "Play";
      document.body.classList.toggle("playing", detail);
      this.showLatency();
    } else if (what === "recording") {
      $("record").setAttribute("aria-pressed", String(detail));
    } else if (what === "armed") {
      $("hint").textContent = detail ? `${detail}: now choose a jack of the panel.` : "";
    } else if (what === "seen") this.seen(detail);
  }

  // About 30 times a second: what does the module do?
  look() {
    const now = performance.now();
    if (this.desk.sound.runs && now - (this.looked || 0) > 30) {
      this.looked = now;
      this.desk.sound.send({do: "look"});
    }
    requestAnimationFrame(() => this.look());
  }

  seen({gatesIn, gatesOut, peaks, script}) {
    this.about.gates.forEach((gate, at) => {
      const high = Boolean((gatesIn >>> at) & 1), pad = this.padOf.get(gate.name);
      if (pad) pad.classList.toggle("high", high);
    });
    this.about.gates.length && this.lights((gatesIn | gatesOut) !== 0);
    peaks.forEach((peak, at) => {
      const meter = $(`meter-${at + 1}`);
      const share = peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / 60) : 0;
      if (meter) meter.style.setProperty("--level", share.toFixed(3));
    });
    $("demo").setAttribute("aria-pressed", String(script >= 0));
    for (const {slider, at, shown, parameter} of this.sliders) {
      if (document.activeElement === slider) continue;
      const position = this.desk.seen.positions[at];
      slider.value = position;
      shown.textContent = called(parameter, position);
    }
  }

  lights(on) {
    for (const part of document.querySelectorAll('[data-kind="led"]')) part.classList.toggle("lit", on);
  }

  say(part, does, value, words) {
    $("readout").replaceChildren(make("b", {}, does || part), value ? make("output", {}, value) : "",
      make("small", {}, does ? `${part}. ${words}` : "Does nothing in this instrument."));
  }

  warn(words) {
    $("warning").textContent = words;
    $("warning").hidden = !words;
  }

  showLatency() {
    const latency = this.desk.sound.latency(), ms = (value) => value.toFixed(1);
    $("latency").textContent = `${ms(latency.all)} ms`;
    $("latency").title = `From hand to ear: instrument ${ms(latency.instrument)} ms, block ${ms(latency.block)} ms, ` +
      `browser ${ms(latency.browser)} ms.`;
  }

  async toggle() {
    try {
      if (this.desk.sound.runs) await this.desk.pause();
      else await this.desk.play();
      this.warn("");
    } catch (error) {
      this.warn(error.message);
    }
  }

  // One large pad for everything that a gate does.
  pads() {
    this.padOf = new Map();
    const done = new Set(), pads = [];
    for (const gate of this.about.gates) {
      if (!gate.moves || done.has(gate.moves)) continue;
      done.add(gate.moves);
      const key = PADS[pads.length], pad = make("button", {type: "button", class: "pad", "data-pad": gate.name, title: gate.words,
        "aria-label": `${gate.moves}. ${gate.words}`}, gate.moves, make("kbd", {}, key || ""));
      pressable(pad, async (on) => {
        if (on && !this.desk.sound.runs) await this.toggle();
        this.desk.press(gate.name, on);
      });
      this.padOf.set(gate.name, pad);
      pads.push([gate.name, pad, key]);
    }
    $("pads").replaceChildren(...pads.map(([, pad]) => pad));
    const find = (event) => !event.ctrlKey && !event.metaKey && !event.altKey && pads.find(([, , key]) => key === event.key);
    addEventListener("keydown", (event) => {
      const found = find(event);
      if (!found || event.repeat) return;
      found[1].classList.add("pressed");
      this.desk.press(found[0], true);
    });
    addEventListener("keyup", (event) => {
      const found = find(event);
      if (!found) return;
      found[1].classList.remove("pressed");
      this.desk.press(found[0], false);
    });
  }

  // What has no knob on this board is set as from a computer.
  remote() {
    this.sliders = [];
    this.about.parameters.forEach((parameter, at) => {
      if (parameter.knob >= 0) return;
      const shown = make("output", {}, called(parameter, parameter.rest));
      const title = titled(parameter.name);
      const slider = make("input", {type: "range", min: 0, max: 1, step: 0.001, value: parameter.rest, title: parameter.words,
        "aria-label": `${title}. ${parameter.words}`, "data-remote": parameter.name,
        oninput: ({target}) => {
          this.desk.setRemote(parameter.name, Number(target.value));
          shown.textContent = called(parameter, Number(target.value));
          this.say(title, title, shown.textContent, parameter.words);
        }});
      this.sliders.push({slider, at, shown, parameter});
      $("remote").append(make("label", {class: "row"}, make("span", {}, title), slider, shown));
    });
    $("more").hidden = this.sliders.length === 0;
  }

  async takeFile(file) {
    try {
      this.desk.tapeName = file.name;
      this.desk.setTape(await decoded(await file.arrayBuffer(), this.about.rateHz, file.name));
      $("tape-name").textContent = file.name;
      for (const jack of this.about.listens) {
        if (!this.desk.patch.cables[jack]) this.desk.plug(jack, {from: "tape", depth: 1, offset: 0});
      }
      this.warn("");
    } catch (error) {
      this.warn(error.message);
    }
  }

  async demo() {
    const {demo} = this.page;
    if (this.desk.seen && this.desk.seen.script >= 0) {
      this.desk.sound.send({do: "script", script: null});
      return;
    }
    if (!this.desk.sound.runs) await this.toggle();
    const sounds = {};
    for (const jack of demo.sounds) if (this.phrase) sounds[jack] = this.phrase;
    this.desk.sound.send({do: "script", script: demo.script, sounds, seconds: demo.script.seconds + 1});
  }

  async record() {
    if (!this.recorder.on) {
      if (!this.desk.sound.runs) await this.toggle();
      if (this.desk.sound.runs) this.recorder.start();
      return;
    }
    this.offer(await this.recorder.stop());
  }

  // What can be kept of a take.
  offer(take) {
    const {name} = this.about, seconds = (take.ticks / this.about.rateHz).toFixed(1), said = make("p", {role: "status"});
    const during = async (words, work) => {
      said.textContent = words;
      try {
        said.textContent = await work();
      } catch (error) {
        said.textContent = error.message;
      }
    };
    const player = make("audio", {controls: "", "aria-label": `Recording of ${seconds} s`});
    $("take").replaceChildren(make("p", {}, `${seconds} s, rendered again from what your hands did: the module's own samples.`), player,
      make("div", {class: "buttons"},
        make("button", {type: "button", id: "save-wav", onclick: () => during("Rendering …", async () => {
          save(await wavOfTake(this.page, take), `${name}.wav`);
          return `Saved ${name}.wav.`;
        })}, "Save WAV"),
        make("button", {type: "button", id: "save-script", onclick: () => during("Writing …", async () => {
          save(new Blob([scriptOfTake(this.page, take)], {type: "text/csv"}), `${name}.csv`);
          return `Play it with: vaectrol play ${name} --board ${this.about.boardName} --block ${this.about.block} --cv ${name}.csv`;
        })}, "Save CV script")), said);
    $("kept").hidden = false;
    during("Rendering …", async () => {
      player.src = URL.createObjectURL(await wavOfTake(this.page, take));
      return "";
    });
  }

  wire() {
    $("play").addEventListener("click", () => this.toggle());
    $("demo").addEventListener("click", () => this.demo());
    $("record").addEventListener("click", () => this.record());
    $("render").addEventListener("click", () => this.offer(this.recorder.takeOf(RENDERED_S)));
    $("first").addEventListener("click", () => this.desk.load(firstPatch(this.about)));
    $("empty").addEventListener("click", () => this.desk.clear());
    const volume = $("volume");
    volume.value = this.desk.patch.volume;
    volume.addEventListener("input", () => this.desk.setVolume(Number(volume.value)));
    addEventListener("hashchange", () => this.fromAddress());
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (!file) return;
      if (file.name.endsWith(".json")) this.presets.read(file);
      else this.takeFile(file);
    });
    addEventListener("keydown", (event) => {
      if (event.key === " " && event.target === document.body) {
        event.preventDefault();
        this.toggle();
      }
    });
  }
}

const shown = new Page();
// For the console, and for tests.
window.vaectrol = {page: shown.page, desk: shown.desk, midi: shown.midi, recorder: shown.recorder, renderTake, scriptOfTake, wavOfTake};
