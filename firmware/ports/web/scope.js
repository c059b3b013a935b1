// Scopes and meters: what leaves the module, and what goes into its CV jacks.

import {printed, titled} from "./patch.js";
import {make} from "./bay.js";

const SLOW_BLOCKS = 2048, FAST_TICKS = 2048; // as the worklet has them
const SLOW_S = 2, SHOWN_TICKS = 900;
const QUIETEST_DB = -60;

export class Scopes {
  constructor(root, desk) {
    this.desk = desk;
    const {about} = desk, used = new Map(about.outputs.map((one) => [one.name, one]));
    this.scopes = [];
    const row = (name, kind, at, low, high) => {
      const output = used.get(name), title = output ? titled(output.carries) : "";
      if (output && !title && !(kind === "fast" && desk.page.outside)) return;
      const canvas = make("canvas", {width: 240, height: 64, role: "img", "data-scope": name, "aria-label": `Scope of ${printed(about, name)}`});
      const value = make("output", {});
      const figure = make("figure", {class: "scope", title: output ? output.words : ""}, make("figcaption", {},
        make("b", {}, title || kind === "slow" ? printed(about, name) : `HEARD ${"LR"[at]}`), ` ${title} `, value), canvas);
      root.append(figure);
      this.scopes.push({name, kind, at, low, high, canvas, value, figure});
    };
    for (let c = 0; c < about.audioOut; c++) row(`audio_out_${c + 1}`, "fast", c, -1, 1);
    let slow = 0;
    for (let c = 0; c < about.cvOut; c++) row(`cv_out_${c + 1}`, "slow", slow++, -0.3, 5.3);
    for (let c = 0; c < about.gateOut; c++) row(`gate_out_${c + 1}`, "slow", slow++, -0.5, 5.5);
    about.inputs.forEach((input) => {
      if (input.kind !== "knob") row(input.name, "slow", slow, input.low, input.high);
      slow++;
    });
    desk.listen((what, seen) => {
      if (what === "seen") this.draw(seen);
      else if (what === "patch" || what === "cable") this.choose();
    });
    this.choose();
  }

  // CV jacks have a scope while something is plugged in.
  choose() {
    for (const {name, figure} of this.scopes) {
      if (name.startsWith("cv_") && !name.includes("out")) figure.hidden = !(name in this.desk.patch.cables);
    }
  }

  draw(seen) {
    const style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--trace"), grid = style.getPropertyValue("--line");
    for (const scope of this.scopes) {
      if (scope.figure.hidden) continue;
      if (scope.kind === "fast") this.drawFast(scope, seen, ink, grid);
      else this.drawSlow(scope, seen, ink, grid);
    }
  }

  begin({canvas, low, high}, grid) {
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth * ratio, height = canvas.clientHeight * ratio;
    if (width && (canvas.width !== width || canvas.height !== height)) {
      canvas.width = width;
      canvas.height = height;
    }
    const pen = canvas.getContext("2d"), y = (value) => canvas.height * (1 - (value - low) / (high - low));
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.strokeStyle = grid;
    pen.lineWidth = ratio;
    pen.beginPath();
    pen.moveTo(0, y(0));
    pen.lineTo(canvas.width, y(0));
    pen.stroke();
    return {pen, y, ratio};
  }

  drawFast(scope, {fast, fastAt, peaks}, ink, grid) {
    const {pen, y, ratio} = this.begin(scope, grid), row = fast[scope.at], {canvas} = scope;
    const get = (i) => row[(fastAt + i) % FAST_TICKS];
    let start = FAST_TICKS - SHOWN_TICKS;
    for (let i = FAST_TICKS - SHOWN_TICKS; i > 0; i--) {
      if (get(i - 1) <= 0 && get(i) > 0) {
        start = i;
        break;
      }
    }
    pen.strokeStyle = ink;
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    for (let i = 0; i < SHOWN_TICKS; i++) pen.lineTo((i / SHOWN_TICKS) * canvas.width, y(get(start + i)));
    pen.stroke();
    const level = peaks[scope.at] > 0 ? 20 * Math.log10(peaks[scope.at]) : -Infinity;
    scope.value.textContent = level > QUIETEST_DB ? `${level.toFixed(0)} dB` : "silent";
    scope.value.classList.toggle("hot", level > -0.1);
  }

  drawSlow(scope, {slow, slowAt}, ink, grid) {
    const {pen, y, ratio} = this.begin(scope, grid), {canvas} = scope, {rateHz, block} = this.desk.about;
    const shown = Math.min(SLOW_BLOCKS, Math.round((SLOW_S * rateHz) / block)), base = scope.at * SLOW_BLOCKS;
    const get = (i) => slow[base + ((slowAt - shown + i + SLOW_BLOCKS) % SLOW_BLOCKS)];
    pen.strokeStyle = ink;
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    for (let i = 0; i < shown; i++) pen.lineTo((i / shown) * canvas.width, y(get(i)));
    pen.stroke();
    scope.value.textContent = `${get(shown - 1).toFixed(1)} V`;
  }
}
