// The module's own panel, brought to life: knobs turn, jacks and buttons are pressed, lights follow.

import {printed, titled} from "./patch.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT_DEGREES = -150, TRAVEL_DEGREES = 300;
const DRAG_PIXELS = 220; // of the hand, for the whole travel
const KEY_STEP = 0.01, PAGE_STEP = 0.1, WHEEL_STEP = 0.02;
const RING_MM = 7.9;
const LONGEST_CAPTION = 11, WIDEST_CAPTION_MM = 12.4; // longer words are drawn narrower

export function degreesAt(position) {
  return LEFT_DEGREES + TRAVEL_DEGREES * position;
}

// An arc around a part, from the left stop to a position.
function arcTo(x, y, radius, position) {
  const point = (degrees) => {
    const angle = ((degrees - 90) * Math.PI) / 180;
    return `${(x + radius * Math.cos(angle)).toFixed(3)} ${(y + radius * Math.sin(angle)).toFixed(3)}`;
  };
  const large = TRAVEL_DEGREES * position > 180 ? 1 : 0;
  return `M${point(LEFT_DEGREES)}A${radius} ${radius} 0 ${large} 1 ${point(degreesAt(position))}`;
}

// What a position of a parameter is called.
export function called(parameter, position) {
  const {labels} = parameter;
  if (labels.length > 1) return labels[Math.round(position * (labels.length - 1))];
  return `${Math.round(position * 100)} %`;
}

export class Panel {
  // told: shows a sentence about what is touched; opened: a jack was chosen.
  constructor(root, desk, told, opened) {
    this.root = root;
    this.desk = desk;
    this.told = told;
    this.opened = opened;
    this.about = desk.about;
    this.learning = null;
    this.rings = [];
    const svg = root.querySelector("svg");
    svg.removeAttribute("width");
    svg.removeAttribute("height");
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", `Panel of the ${this.about.title}`);
    this.svg = svg;
    const inputs = new Map(this.about.inputs.map((one) => [one.name, one]));
    const gates = new Map(this.about.gates.map((one) => [one.name, one]));
    const outputs = new Map(this.about.outputs.map((one) => [one.name, one]));
    for (const part of svg.querySelectorAll("g[data-part]")) {
      const {part: name, kind} = part.dataset;
      if (kind === "knob") this.knob(part, name, inputs.get(name));
      else if (kind === "button" || kind === "toggle") this.button(part, name, gates.get(name), kind === "toggle");
      else if (kind === "jack") this.jack(part, name, outputs.get(name) || desk.jacks[name], outputs.has(name));
    }
    desk.listen((what, detail) => {
      if (what === "patch") for (const name of Object.keys(desk.patch.knobs)) this.turn(name);
      else if (what === "knob") this.turn(detail);
      else if (what === "seen") this.follow(detail);
    });
  }

  middle(part) {
    const cap = part.querySelector(".cap");
    return [Number(cap.getAttribute("cx")), Number(cap.getAttribute("cy"))];
  }

  // Words under a part: what it does here.
  caption(part, words, above) {
    if (!words) return;
    const [x, y] = this.middle(part), text = document.createElementNS(SVG, "text");
    text.setAttribute("x", x);
    text.setAttribute("y", y + above);
    text.setAttribute("class", "does");
    text.textContent = words;
    if (words.length > LONGEST_CAPTION + (above < 0 ? 2 : 0)) {
      text.setAttribute("textLength", WIDEST_CAPTION_MM);
      text.setAttribute("lengthAdjust", "spacingAndGlyphs");
    }
    part.append(text);
  }

  name(part, role, label) {
    part.setAttribute("tabindex", "0");
    part.setAttribute("role", role);
    part.setAttribute("aria-label", label);
    part.classList.add("live");
  }

  ring(part, parameter, radius) {
    const [x, y] = this.middle(part), path = document.createElementNS(SVG, "path");
    path.setAttribute("class", "ring");
    part.append(path);
    this.rings.push({path, x, y, radius, parameter});
  }

  parameterOf(key, name) {
    const at = this.desk.inputNumbers.get(name);
    return this.about.parameters.findIndex((parameter) => parameter[key] === at);
  }

  knob(part, name, input) {
    const words = input.moves ? `${input.moves}. ${input.words}` : "Moves nothing in this instrument.";
    this.name(part, "slider", `${printed(this.about, name)}: ${words}`);
    part.setAttribute("aria-valuemin", "0");
    part.setAttribute("aria-valuemax", "100");
    this.caption(part, input.moves, 9.9);
    const parameter = this.parameterOf("knob", name);
    if (parameter >= 0) this.ring(part, parameter, RING_MM);
    const say = () => this.told(printed(this.about, name), input.moves, this.valueOf(name), input.words);
    const move = (to) => {
      this.desk.setKnob(name, to);
      say();
    };
    const at = () => this.desk.patch.knobs[name];
    let from = null;
    part.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      part.setPointerCapture(event.pointerId);
      from = {x: event.clientX, y: event.clientY, position: at()};
      part.focus({preventScroll: true});
      this.desk.tell("touched", name);
      event.preventDefault();
      say();
    });
    part.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const pixels = from.y - event.clientY + (event.clientX - from.x);
      move(from.position + (pixels / DRAG_PIXELS) * (event.shiftKey ? 0.1 : 1));
    });
    for (const end of ["pointerup", "pointercancel"]) part.addEventListener(end, () => (from = null));
    part.addEventListener("dblclick", () => move(input.rest));
    part.addEventListener("wheel", (event) => {
      event.preventDefault();
      move(at() - Math.sign(event.deltaY) * WHEEL_STEP * (event.shiftKey ? 0.1 : 1));
    }, {passive: false});
    part.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? KEY_STEP / 10 : KEY_STEP;
      const to = {
        ArrowUp: at() + step, ArrowRight: at() + step, ArrowDown: at() - step, ArrowLeft: at() - step,
        PageUp: at() + PAGE_STEP, PageDown: at() - PAGE_STEP, Home: 0, End: 1, Delete: input.rest,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      move(to);
    });
    part.addEventListener("focus", say);
    part.addEventListener("pointerenter", say);
    this.turn(name);
  }

  valueOf(name) {
    const parameter = this.parameterOf("knob", name), position = this.desk.patch.knobs[name];
    return parameter < 0 ? `${Math.round(position * 100)} %` : called(this.about.parameters[parameter], position);
  }

  turn(name) {
    const part = this.svg.querySelector(`[data-part="${name}"]`);
    if (!part) return;
    const position = this.desk.patch.knobs[name], [x, y] = this.middle(part);
    part.querySelector("line").setAttribute("transform", `rotate(${degreesAt(position).toFixed(2)} ${x} ${y})`);
    part.setAttribute("aria-valuenow", Math.round(position * 100));
    part.setAttribute("aria-valuetext", this.valueOf(name));
  }

  // A button is held; a toggle stays where it is put.
  button(part, name, gate, stays) {
    if (!gate) return;
    this.name(part, "button", `${stays ? "Toggle" : "Button"}: ${gate.moves || "does nothing here"}. ${gate.words}`);
    this.caption(part, gate.moves, 5.6);
    let up = false;
    pressable(part, (on) => {
      if (!stays) this.desk.press(name, on);
      else if (on) {
        up = !up;
        part.setAttribute("aria-pressed", String(up));
        this.desk.press(name, up);
      }
    });
    const say = () => this.told("Button", gate.moves, "", gate.words);
    part.addEventListener("focus", say);
    part.addEventListener("pointerenter", say);
  }

  jack(part, name, jack, isOutput) {
    const does = isOutput ? titled(jack.carries || "") : jack.moves;
    const what = does ? `${does}. ${jack.words}` : "unused in this instrument";
    this.name(part, "button", `Jack ${printed(this.about, name)}, ${isOutput ? "output" : "input"}: ${what}`);
    if (isOutput) part.classList.add("output");
    else part.setAttribute("aria-haspopup", "dialog");
    if (!does) part.classList.add("idle");
    this.caption(part, does, isOutput || jack.takes === "audio" ? -7.8 : 6.35); // an output's field ends 9.4 above
    if (jack.takes === "cv") {
      const parameter = this.parameterOf("cv", name);
      if (parameter >= 0) this.ring(part, parameter, 4.7);
    }
    const say = () => this.told(printed(this.about, name), does, "", jack.words);
    part.addEventListener("focus", say);
    part.addEventListener("pointerenter", say);
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.opened(name, part);
    });
  }

  // Rings show where each parameter really is, cables and all.
  follow({positions}) {
    for (const {path, x, y, radius, parameter} of this.rings) {
      path.setAttribute("d", arcTo(x, y, radius, Math.min(Math.max(positions[parameter], 0.001), 1)));
    }
  }
}

// Something that is pressed and let go: by finger, mouse, space or enter.
export function pressable(part, press) {
  let held = false;
  const set = (on) => {
    if (on === held) return;
    held = on;
    part.classList.toggle("pressed", on);
    press(on);
  };
  part.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    part.setPointerCapture(event.pointerId);
    event.preventDefault();
    part.focus({preventScroll: true});
    set(true);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) part.addEventListener(end, () => set(false));
  part.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) set(true);
  });
  part.addEventListener("keyup", (event) => {
    if (event.key === " " || event.key === "Enter") set(false);
  });
}
