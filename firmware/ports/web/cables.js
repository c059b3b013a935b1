// Cables: drawn over the page from where they come from to where they go; dragged, or chosen in a sheet.

import {DEPTH_LIMIT, OFFSET_LIMIT_VOLTS, firstCable, printed, sourcesOf} from "./patch.js";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#e4572e", "#2e86ab", "#f2b134", "#4fb477", "#a06cd5", "#ef798a", "#3bb5c8", "#c98b4b"];
const CLICK_PIXELS = 6;
const NARROW_PIXELS = 832; // as page.css has it: the bay lies below the panel, and cords would cover both

export function colourOf(source) {
  let sum = 0;
  for (const letter of source) sum = (sum * 31 + letter.charCodeAt(0)) % 9973;
  return COLOURS[sum % COLOURS.length];
}

export class Cables {
  constructor(desk, stage, sheet) {
    this.desk = desk;
    this.stage = stage;
    this.sheet = sheet;
    this.sources = sourcesOf(desk.about);
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "cables");
    this.svg.setAttribute("aria-hidden", "true");
    stage.append(this.svg);
    this.armed = null; // a source that waits for its jack
    this.dragged = null;
    desk.listen((what) => {
      if (what === "patch" || what === "cable") this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(stage);
    stage.addEventListener("pointerdown", (event) => this.take(event));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.arm(null);
    });
    stage.addEventListener("toggle", () => this.draw(), true);
  }

  jackPart(name) {
    return this.stage.querySelector(`[data-part="${name}"]`);
  }

  sourcePart(name) {
    return this.stage.querySelector(`[data-source="${name}"]`) || this.jackPart(name);
  }

  // Middle of a jack or socket, in the stage's pixels.
  place(part) {
    const box = (part.querySelector(".cap") || part).getBoundingClientRect(), stage = this.stage.getBoundingClientRect();
    return box.width === 0 ? null : [box.x + box.width / 2 - stage.x, box.y + box.height / 2 - stage.y];
  }

  draw() {
    const lines = [];
    for (const part of this.stage.querySelectorAll("[data-source]")) part.classList.remove("plugged");
    for (const [jack, {from}] of Object.entries(this.desk.patch.cables)) {
      const start = this.sourcePart(from), end = this.jackPart(jack);
      if (!start || !end) continue;
      start.classList.add("plugged");
      start.style.setProperty("--cable", colourOf(from));
      const narrow = innerWidth < NARROW_PIXELS && this.sourcePart(from).matches("[data-source]");
      lines.push(this.line(narrow ? null : this.place(start), this.place(end), colourOf(from), jack,
        narrow ? this.sources[from].title.replace(/,.*/, "") : ""));
    }
    if (this.dragged && this.dragged.to) {
      lines.push(this.line(this.place(this.dragged.part), this.dragged.to, colourOf(this.dragged.from), ""));
    }
    this.svg.replaceChildren(...lines.filter(Boolean));
    for (const name of Object.keys(this.desk.jacks)) {
      const part = this.jackPart(name), cable = this.desk.patch.cables[name];
      if (part) part.setAttribute("aria-description", cable ? `plugged: ${this.sources[cable.from].title}` : "nothing plugged");
    }
  }

  // A cord between two places, or a plug with its name where there is no room for cords.
  line(from, to, colour, jack, name = "") {
    if (!to) return null;
    const group = document.createElementNS(SVG, "g"), add = (name, attributes) => {
      const made = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      group.append(made);
    };
    group.dataset.cable = jack;
    if (from) {
      const sag = 30 + 0.18 * Math.hypot(to[0] - from[0], to[1] - from[1]);
      const path = `M${from[0]} ${from[1]}C${from[0]} ${from[1] + sag} ${to[0]} ${to[1] + sag} ${to[0]} ${to[1]}`;
      add("path", {d: path, class: "shadow"});
      add("path", {d: path, class: "cord", stroke: colour});
      add("circle", {cx: from[0], cy: from[1], r: 5, fill: colour, class: "plug"});
    }
    add("circle", {cx: to[0], cy: to[1], r: 9, fill: colour, class: "plug"});
    add("circle", {cx: to[0], cy: to[1], r: 3.5, class: "tip"});
    if (name) {
      add("text", {x: to[0], y: to[1] + 20});
      group.lastChild.textContent = name;
    }
    return group;
  }

  // A press on a socket or a jack: a drag pulls a cable, a click opens or arms.
  take(event) {
    const socket = event.target.closest("[data-source]"), jack = event.target.closest('[data-kind="jack"]');
    if (event.button || (!socket && !jack)) return;
    const name = jack && jack.dataset.part, output = jack && jack.classList.contains("output");
    const from = socket ? socket.dataset.source : output ? name : (this.desk.patch.cables[name] || {}).from;
    const start = {x: event.clientX, y: event.clientY};
    event.preventDefault();
    (socket || jack).focus({preventScroll: true});
    let pulled = false;
    const move = (now) => {
      pulled ||= Math.hypot(now.clientX - start.x, now.clientY - start.y) > CLICK_PIXELS;
      if (!pulled || !from || !(from in this.sources)) return;
      if (!this.dragged) {
        this.dragged = {from, part: this.sourcePart(from), kept: name && !output ? this.desk.patch.cables[name] : null};
        if (this.dragged.kept) this.desk.plug(name, null);
        this.stage.classList.add("patching");
      }
      const stage = this.stage.getBoundingClientRect();
      this.dragged.to = [now.clientX - stage.x, now.clientY - stage.y];
      this.draw();
    };
    const end = (now) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      this.stage.classList.remove("patching");
      const drag = this.dragged;
      this.dragged = null;
      if (drag && now.type === "pointerup") this.drop(drag, now);
      else if (!pulled) this.click(socket, name, output);
      this.draw();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  }

  drop(drag, {clientX, clientY}) {
    const under = document.elementFromPoint(clientX, clientY), part = under && under.closest('[data-kind="jack"]');
    const jack = part && this.desk.jacks[part.dataset.part];
    if (jack) this.desk.plug(part.dataset.part, drag.kept || firstCable(drag.from, jack));
  }

  click(socket, name, output) {
    if (socket) this.arm(this.armed === socket.dataset.source ? null : socket.dataset.source);
    else if (output) this.arm(name in this.sources ? (this.armed === name ? null : name) : null);
    else if (this.armed) {
      this.desk.plug(name, firstCable(this.armed, this.desk.jacks[name]));
      this.arm(null);
    } else this.open(name);
  }

  // A chosen source: the next jack gets it.
  arm(source) {
    this.armed = source;
    this.stage.classList.toggle("patching", source !== null);
    for (const part of this.stage.querySelectorAll(".armed")) part.classList.remove("armed");
    if (source !== null) this.sourcePart(source).classList.add("armed");
    this.desk.tell("armed", source ? this.sources[source].title : "");
  }

  // A jack or output by keyboard.
  choose(name, part) {
    this.click(null, name, part.classList.contains("output"));
  }

  // The sheet of a jack: what it does, what may go in, how far it swings.
  open(name) {
    const {desk, sheet} = this, jack = desk.jacks[name], cable = desk.patch.cables[name];
    const make = (tag, attributes = {}, ...inside) => {
      const made = document.createElement(tag);
      for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
        else made.setAttribute(key, value);
      }
      made.append(...inside);
      return made;
    };
    const plug = (from) => {
      desk.plug(name, from ? firstCable(from, jack) : null);
      this.open(name);
    };
    const choice = (from, title) => make("button", {
      type: "button", class: "choice", "aria-pressed": String((cable ? cable.from : "") === from),
      style: from ? `--cable:${colourOf(from)}` : "", "data-choice": from || "nothing", onclick: () => plug(from),
    }, title);
    const slider = (label, key, limit, unit) => make("label", {class: "row"}, make("span", {}, label),
      make("input", {
        type: "range", min: -limit, max: limit, step: limit / 100, value: cable[key], "aria-label": `${label} of the cable`,
        oninput: ({target}) => {
          desk.plug(name, {...desk.patch.cables[name], [key]: Number(target.value)});
          target.nextSibling.textContent = `${Number(target.value).toFixed(2)} ${unit}`;
        },
      }), make("output", {}, `${cable[key].toFixed(2)} ${unit}`));
    const close = make("button", {type: "button", class: "close", "aria-label": "Close", onclick: () => this.close()}, "×");
    sheet.replaceChildren(
      make("header", {}, make("h2", {id: "sheet-title"}, `${printed(this.desk.about, name)}${jack.moves ? ` · ${jack.moves}` : ""}`), close),
      make("p", {}, jack.words || "Nothing in this instrument listens here."),
      make("div", {class: "choices", role: "group", "aria-label": "What is plugged in"}, choice("", "nothing"),
        ...Object.entries(this.sources).map(([from, {title}]) => choice(from, title))),
      ...(cable ? [slider("Depth", "depth", DEPTH_LIMIT, "×"), slider("Offset", "offset", OFFSET_LIMIT_VOLTS, "V")] : []),
    );
    if (sheet.hidden) {
      sheet.hidden = false;
      this.opener = this.jackPart(name);
    }
    const [chosen] = sheet.querySelectorAll('[aria-pressed="true"]');
    if (chosen) chosen.focus({preventScroll: true});
    sheet.onkeydown = (event) => {
      if (event.key === "Escape") this.close();
    };
  }

  close() {
    this.sheet.hidden = true;
    if (this.opener) this.opener.focus({preventScroll: true});
  }
}
