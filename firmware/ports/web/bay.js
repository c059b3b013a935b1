// The bay: what can be patched in, each with its few settings and a socket to pull a cable from.

import {SHAPES, SOURCES, STEPS} from "./sources.js";
import {pressable} from "./panel.js";

const LOG_RATE = {low: 0.02, high: 30};
const PIANO_KEYS = 13;
const TYPED = "awsedftgyhujk";
const BLACK = new Set([1, 3, 6, 8, 10]);
const NOTES = ["C", "C sharp", "D", "D sharp", "E", "F", "F sharp", "G", "G sharp", "A", "A sharp", "B"];

export function make(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null) made.setAttribute(key, value);
  }
  made.append(...inside);
  return made;
}

const hertz = (rate) => `${rate < 1 ? rate.toFixed(2) : rate.toFixed(1)} Hz`;
const toRate = (share) => LOG_RATE.low * (LOG_RATE.high / LOG_RATE.low) ** share;
const fromRate = (rate) => Math.log(rate / LOG_RATE.low) / Math.log(LOG_RATE.high / LOG_RATE.low);

export class Bay {
  constructor(root, desk, midi) {
    this.root = root;
    this.desk = desk;
    this.midi = midi;
    this.cells = [];
    this.fill();
    desk.listen((what, detail) => {
      if (what === "patch") this.fill();
      else if (what === "seen") this.follow(detail);
    });
    this.typing();
  }

  socket(name) {
    const [title] = SOURCES[name];
    return make("button", {
      type: "button", class: "socket", "data-source": name, title: `${title}: pull a cable to a jack, or click and choose one`,
      "aria-label": `${title}: choose, then choose a jack`,
    });
  }

  card(title, names, ...inside) {
    const sockets = names.map(([name, label]) => make("span", {class: "out"}, this.socket(name), label ? make("small", {}, label) : ""));
    return make("section", {class: "card", "aria-label": title}, make("header", {}, make("h3", {}, title), ...sockets), ...inside);
  }

  slider(source, label, key, {low = 0, high = 1, step = 0.001, show = String, to = (x) => x, from = (x) => x}) {
    const settings = this.desk.patch.sources[source], shown = make("output", {}, show(settings[key]));
    return make("label", {class: "row"}, make("span", {}, label), make("input", {
      type: "range", min: low, max: high, step, value: from(settings[key]), "aria-label": `${SOURCES[source][0]}: ${label}`,
      "aria-valuetext": show(settings[key]),
      oninput: ({target}) => {
        const value = to(Number(target.value));
        this.desk.setSource(source, {[key]: value});
        shown.textContent = show(value);
        target.setAttribute("aria-valuetext", show(value));
      },
    }), shown);
  }

  rate(source) {
    return this.slider(source, "Rate", "rate", {show: hertz, to: toRate, from: fromRate});
  }

  lfo(number) {
    const name = `lfo_${number}`, shape = this.desk.patch.sources[name].shape;
    return this.card(`LFO ${number}`, [[name, ""]], this.rate(name), make("label", {class: "row"}, make("span", {}, "Shape"),
      make("select", {"aria-label": `LFO ${number}: Shape`, onchange: ({target}) => this.desk.setSource(name, {shape: target.selectedIndex})},
        ...SHAPES.map((title, at) => make("option", at === shape ? {selected: ""} : {}, title)))));
  }

  random(number) {
    const name = `random_${number}`;
    return this.card(`Random ${number}`, [[name, ""]], this.rate(name),
      this.slider(name, "Glide", "smooth", {show: (share) => `${Math.round(share * 100)} %`}));
  }

  clock() {
    return this.card("Clock", [["clock", "16ths"], ["bar", "bar"]],
      this.slider("clock", "Tempo", "bpm", {low: 40, high: 240, step: 1, show: (bpm) => `${bpm} bpm`}));
  }

  sequencer() {
    const {desk} = this, steps = desk.patch.sources.steps;
    this.cells = Array.from({length: STEPS}, (_, at) => {
      const bar = make("input", {
        type: "range", class: "step", min: 0, max: 1, step: 0.01, value: steps.values[at], orient: "vertical",
        "aria-label": `Step ${at + 1}: voltage`,
        oninput: ({target}) => {
          const values = [...desk.patch.sources.steps.values];
          values[at] = Number(target.value);
          desk.setSource("steps", {values});
        },
      });
      const gate = make("button", {
        type: "button", class: "hit", "aria-label": `Step ${at + 1}: gate`, "aria-pressed": String(Boolean(steps.gates[at])),
        onclick: ({target}) => {
          const gates = [...desk.patch.sources.steps.gates];
          gates[at] = gates[at] ? 0 : 1;
          target.setAttribute("aria-pressed", String(Boolean(gates[at])));
          desk.setSource("steps", {gates});
        },
      });
      return make("span", {class: "cell"}, bar, gate);
    });
    const card = this.card("Sequencer", [["steps", "volts"], ["steps_gate", "gate"]],
      make("div", {class: "steps"}, ...this.cells),
      this.slider("steps", "Length", "length", {low: 1, high: STEPS, step: 1, show: (length) => `${length} steps`}));
    card.classList.add("wide");
    return card;
  }

  keyboard() {
    const keys = Array.from({length: PIANO_KEYS}, (_, at) => {
      const key = make("button", {
        type: "button", class: BLACK.has(at % 12) ? "black" : "white", "aria-label": `Note ${NOTES[at % 12]}`,
      }, make("kbd", {}, TYPED[at] || ""));
      pressable(key, (on) => this.note(at, on));
      return key;
    });
    this.keys = keys;
    const card = this.card("Keyboard", [["keys", "pitch"], ["keys_gate", "gate"]], make("div", {class: "piano"}, ...keys));
    card.classList.add("wide");
    return card;
  }

  note(key, on) {
    this.desk.sound.send({do: "note", source: "keys", on: on ? 1 : 0, volts: key / 12, velocity: 0.8});
  }

  typing() {
    const held = new Set();
    const typed = (event) => !event.ctrlKey && !event.metaKey && !event.altKey && !/^(SELECT|TEXTAREA)$/.test(event.target.tagName) &&
      !(event.target.tagName === "INPUT" && event.target.type === "text");
    addEventListener("keydown", (event) => {
      const at = TYPED.indexOf(event.key);
      if (at < 0 || event.key.length !== 1 || event.repeat || held.has(at) || !typed(event)) return;
      held.add(at);
      this.keys[at].classList.add("pressed");
      this.note(at, true);
    });
    addEventListener("keyup", (event) => {
      const at = TYPED.indexOf(event.key);
      if (at < 0 || event.key.length !== 1 || !held.delete(at)) return;
      this.keys[at].classList.remove("pressed");
      this.note(at, held.size > 0);
    });
  }

  midiCard() {
    const said = make("p", {class: "said", role: "status"}, this.midi.state);
    this.midi.told = (words) => (said.textContent = words);
    const card = this.card("MIDI", [["midi", "pitch"], ["midi_gate", "gate"], ["midi_velocity", "velocity"], ["midi_cc_1", "CC a"],
      ["midi_cc_2", "CC b"], ["midi_clock", "clock"]], said, make("div", {class: "buttons"},
      make("button", {type: "button", id: "midi-open", onclick: () => this.midi.open()}, "Connect"),
      make("button", {type: "button", id: "midi-learn", onclick: () => this.midi.learn()}, "Learn a knob"),
      make("button", {type: "button", onclick: () => this.midi.learnSocket("midi_cc_1")}, "Learn CC a"),
      make("button", {type: "button", onclick: () => this.midi.learnSocket("midi_cc_2")}, "Learn CC b")));
    card.classList.add("wide");
    return card;
  }

  microphone() {
    const said = make("p", {class: "said", role: "status"}, "Use headphones: loudspeakers sing back.");
    return this.card("Microphone", [["mic_1", "left"], ["mic_2", "right"]], said, make("button", {
      type: "button", id: "mic-open",
      onclick: async () => {
        try {
          await this.desk.play();
          await this.desk.sound.openMicrophone();
          said.textContent = "The microphone is open.";
        } catch (error) {
          said.textContent = error.message;
          this.desk.tell("error", error.message);
        }
      },
    }, "Open"));
  }

  file() {
    const {desk} = this, name = desk.tapeName || (desk.page.phrase ? `${desk.page.phrase.name}, built in` : "none: drop one on the page");
    const playing = desk.patch.sources.tape.playing;
    return this.card("Sound file", [["tape", ""]], make("p", {class: "said", id: "tape-name"}, name), make("div", {class: "buttons"},
      make("label", {class: "button"}, "Choose", make("input", {
        type: "file", accept: "audio/*", class: "hidden", "aria-label": "Choose a sound file",
        onchange: ({target}) => target.files.length && desk.tell("file", target.files[0]),
      })),
      make("button", {
        type: "button", "aria-pressed": String(Boolean(playing)),
        onclick: ({target}) => {
          const on = desk.patch.sources.tape.playing ? 0 : 1;
          desk.setSource("tape", {playing: on});
          target.setAttribute("aria-pressed", String(Boolean(on)));
        },
      }, "Loops")));
  }

  fill() {
    this.root.replaceChildren(
      this.sequencer(), this.clock(), this.lfo(1), this.lfo(2), this.random(1), this.lfo(3), this.lfo(4), this.random(2),
      this.file(), this.microphone(), this.midiCard(), this.keyboard());
  }

  follow({step}) {
    const now = step % this.desk.patch.sources.steps.length;
    if (now === this.lit) return;
    this.lit = now;
    this.cells.forEach((cell, at) => cell.classList.toggle("now", at === now));
  }
}

