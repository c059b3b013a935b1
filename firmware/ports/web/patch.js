// A patch: where the knobs stand, what is plugged in where, how the sources are set. As JSON, in the address, by name.

import {SOURCES, restingSettings} from "./sources.js";

export const DEPTH_LIMIT = 1, OFFSET_LIMIT_VOLTS = 5;

// Jacks of the panel that take a cable, with what each is.
export function jacksOf(about) {
  const jacks = {};
  for (const input of about.inputs) if (input.kind !== "knob") jacks[input.name] = {...input, takes: "cv"};
  for (const gate of about.gates) if (!gate.button) jacks[gate.name] = {...gate, takes: "gate"};
  for (let at = 1; at <= about.audioIn; at++) {
    const name = `audio_in_${at}`, moves = about.listens.includes(name) ? "sound" : "";
    jacks[name] = {name, takes: "audio", moves, words: moves ? "The sound that is worked on." : ""};
  }
  return jacks;
}

// Every source by name, the module's own outputs among them.
export function sourcesOf(about) {
  const found = {};
  for (const [name, [title, unit]] of Object.entries(SOURCES)) found[name] = {title, unit};
  for (const {name, carries} of about.outputs) {
    if (carries) found[name] = {title: `${printed(about, name)}, ${titled(carries)}`, unit: "volts"};
  }
  return found;
}

// A name of the firmware as words.
export function titled(name) {
  return name.replace("attribute/", "").replaceAll(/[./_]/g, " ");
}

// What the panel says at a part.
export function printed(about, name) {
  return about.printed[name] || name;
}

// How far a source first swings in a jack: over its range, or the middle third of it where it wobbles a sound.
export function firstCable(from, jack) {
  if (jack.takes !== "cv" || /gate|clock|bar|^(mic|tape|audio)/.test(from)) return {from, depth: 1, offset: 0};
  const [low, high] = jack.volts || [-5, 5];
  const bipolar = /^(lfo|random)/.test(from);
  if (!bipolar) return {from, depth: 1, offset: 0};
  return low >= 0 ? {from, depth: 0.5, offset: (low + high) / 2} : {from, depth: 0.3, offset: 0};
}

export function emptyPatch(about) {
  const knobs = {};
  for (const input of about.inputs) if (input.kind === "knob") knobs[input.name] = input.rest;
  return {instrument: about.name, knobs, remote: {}, cables: {}, sources: restingSettings(), volume: 0.8};
}

// A patch that sounds at once: hands free, every function found by what it does.
export function firstPatch(about) {
  const patch = emptyPatch(about), jacks = Object.values(jacksOf(about));
  const find = (takes, moves) => jacks.find((jack) => jack.takes === takes && jack.moves === moves);
  const trigger = find("gate", "trigger"), clock = find("gate", "clock"), chooses = find("cv", "class");
  if (trigger) {
    patch.cables[trigger.name] = {from: "steps_gate", depth: 1, offset: 0};
    patch.sources.clock.bpm = 104;
    patch.sources.steps.gates = [1, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1];
    if (chooses) { // a beat of the first four classes: the sequencer's voltage chooses the drum
      const [kick, snare, closed, open] = [0, 2 / 7, 4 / 7, 6 / 7];
      patch.sources.steps.values =
        [kick, closed, closed, closed, snare, closed, closed, kick, closed, closed, kick, closed, snare, closed, closed, open];
      patch.cables[chooses.name] = {from: "steps", depth: 1, offset: 0};
    }
  }
  if (clock) patch.cables[clock.name] = {from: "clock", depth: 1, offset: 0};
  for (const jack of about.listens) patch.cables[jack] = {from: "tape", depth: 1, offset: 0};
  const note = find("gate", "gate"), pitch = find("cv", "pitch");
  if (note && pitch) { // a line of notes, in semitones above 0 V; the sequencer's whole travel is five octaves
    const line = [12, 19, 24, 27, 31, 27, 24, 19, 8, 15, 20, 24, 27, 24, 20, 15];
    patch.cables[note.name] = {from: "steps_gate", depth: 1, offset: 0};
    patch.cables[pitch.name] = {from: "steps", depth: 1, offset: 0};
    patch.sources.clock.bpm = 92;
    patch.sources.steps.gates = line.map(() => 1);
    patch.sources.steps.values = line.map((semitones) => semitones / 60);
  }
  const bent = jacks.find((jack) => jack.takes === "cv" && /latent 1$/.test(jack.moves));
  if (bent) patch.cables[bent.name] = {from: "lfo_1", depth: 0.3, offset: 0};
  return patch;
}

const within = (value, low, high, other) =>
  (typeof value === "number" && Number.isFinite(value) ? Math.min(Math.max(value, low), high) : other);

// Reads a patch from elsewhere: what this instrument has is taken, in its limits. An Error says what is wrong.
export function readPatch(about, told) {
  if (typeof told !== "object" || told === null || typeof told.knobs !== "object") {
    throw new Error("This is no patch of ours: it holds no knobs.");
  }
  if (told.instrument && told.instrument !== about.name) {
    throw new Error(`This patch is for the instrument ${told.instrument}; open it in that page.`);
  }
  const patch = emptyPatch(about), jacks = jacksOf(about), sources = sourcesOf(about);
  for (const name of Object.keys(patch.knobs)) patch.knobs[name] = within(told.knobs[name], 0, 1, patch.knobs[name]);
  for (const {name} of about.parameters) {
    if (told.remote && name in told.remote) patch.remote[name] = within(told.remote[name], 0, 1, 0.5);
  }
  for (const [jack, cable] of Object.entries(told.cables || {})) {
    if (!(jack in jacks) || !cable || !(cable.from in sources)) continue;
    patch.cables[jack] = {
      from: cable.from,
      depth: within(cable.depth, -DEPTH_LIMIT, DEPTH_LIMIT, 1),
      offset: within(cable.offset, -OFFSET_LIMIT_VOLTS, OFFSET_LIMIT_VOLTS, 0),
    };
  }
  for (const [name, settings] of Object.entries(patch.sources)) readSettings(settings, (told.sources || {})[name]);
  patch.volume = within(told.volume, 0, 1, patch.volume);
  return patch;
}

const LIMITS = {rate: [0.01, 100], shape: [0, 4], smooth: [0, 1], bpm: [20, 400], length: [1, 16], playing: [0, 1]};

function readSettings(settings, told) {
  if (typeof told !== "object" || told === null) return;
  for (const [key, value] of Object.entries(settings)) {
    if (Array.isArray(value)) {
      if (Array.isArray(told[key])) settings[key] = value.map((one, at) => within(told[key][at], 0, 1, one));
    } else settings[key] = within(told[key], ...LIMITS[key], value);
  }
  if ("length" in settings) settings.length = Math.round(settings.length);
  if ("shape" in settings) settings.shape = Math.round(settings.shape);
}

const rounded = (key, value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value);

// A patch as part of an address, and back.
export function toAddress(patch) {
  const text = new TextEncoder().encode(JSON.stringify(patch, rounded));
  return btoa(String.fromCharCode(...text)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromAddress(word) {
  const bytes = Uint8Array.from(atob(word.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

// A patch as the messages a rig hears.
export function messagesOf(about, patch, tape) {
  const numbers = new Map(about.parameters.map((one, at) => [one.name, at]));
  const messages = about.inputs.flatMap(({name, kind}, at) =>
    kind === "knob" ? [{do: "knob", at, to: patch.knobs[name]}] : []);
  for (const [source, to] of Object.entries(patch.sources)) {
    messages.push({do: "settings", source, to: JSON.parse(JSON.stringify(to))});
  }
  for (const jack of Object.keys(jacksOf(about))) messages.push({do: "cable", jack, cable: patch.cables[jack] || null});
  if (tape) messages.push({do: "tape", sound: tape});
  for (const [name, value] of Object.entries(patch.remote)) {
    messages.push({do: "post", kind: about.set, index: numbers.get(name), value});
  }
  return messages;
}
