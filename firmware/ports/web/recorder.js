// Recording: the worklet notes what hands did; the sound is rendered from that, as is the CV script.

import {renderTake, wavOf} from "./offline.js";
import {Rig} from "./rig.js";
import {columnOf} from "./script.js";

const LONGEST_MIC_S = 120;

export class Recorder {
  constructor(desk) {
    this.desk = desk;
    this.on = false;
    this.take = null;
    desk.listen((what, answer) => {
      if (what === "recorded") this.keep(answer);
    });
  }

  // Begins with power on, so that the same can be played again.
  start() {
    const {desk} = this, usesMic = Object.values(desk.patch.cables).some(({from}) => from.startsWith("mic"));
    this.before = desk.messages().filter(({do: what}) => what !== "post");
    desk.sound.send({do: "script", script: null});
    desk.sound.send({do: "record", on: true, micTicks: usesMic ? LONGEST_MIC_S * desk.about.rateHz : 0});
    for (const message of desk.messages()) if (message.do === "post") desk.sound.send(message);
    this.on = true;
    this.wanted = null;
    desk.tell("recording", true);
  }

  stop() {
    this.on = false;
    this.desk.sound.send({do: "record", on: false});
    this.desk.tell("recording", false);
    return new Promise((done) => (this.wanted = done));
  }

  keep({log, ticks, mic}) {
    this.take = {before: this.before, messages: log, ticks, mic, wide: false};
    if (this.wanted) this.wanted(this.take);
  }

  // A take of the patch as it stands, so many seconds, with nobody touching it.
  takeOf(seconds) {
    const {desk} = this, ticks = Math.round(seconds * desk.about.rateHz), messages = desk.messages();
    const posts = messages.filter(({do: what}) => what === "post").map((message) => [0, message]);
    return {before: messages.filter(({do: what}) => what !== "post"), messages: posts, ticks, mic: null, wide: false};
  }
}

export async function wavOfTake(page, take) {
  return wavOf(await renderTake(page, take), page.about.rateHz);
}

// The same take as a CV script: everything the module's jacks and knobs met, block by block.
export function scriptOfTake(page, take) {
  const {about} = page, rig = new Rig(page.bytes, about), tracer = new Tracer(rig);
  for (const message of take.before) rig.hear(message);
  rig.begin();
  let taken = 0;
  for (; rig.tick < take.ticks; ) {
    while (taken < take.messages.length && take.messages[taken][0] <= rig.tick) {
      const message = take.messages[taken++][1];
      if (message.do === "begin") continue;
      rig.hear(message);
      tracer.note(message);
    }
    if (take.mic) {
      for (let c = 0; c < 2; c++) {
        const row = rig.sources.bus[`mic_${c + 1}`], kept = take.mic[c];
        for (let i = 0; i < rig.block; i++) row[i] = rig.tick + i < kept.length ? kept[rig.tick + i] : 0;
      }
    }
    const tick = rig.tick;
    rig.render();
    tracer.block(tick);
  }
  return tracer.text(take.ticks);
}

// Collects what `vaectrol play` needs for the same sound, and leaves out what does not change.
class Tracer {
  constructor(rig) {
    this.rig = rig;
    this.rows = new Map(); // tick → Map of column → value
    this.last = new Map();
    this.pending = new Map(); // column → [tick, value] of the newest value like the one before
    this.heldGates = 0;
    this.commandAt = -1;
    this.commands = new Set();
    this.used = new Set();
  }

  put(tick, column, value) {
    if (!this.rows.has(tick)) this.rows.set(tick, new Map());
    this.rows.get(tick).set(column, value);
    this.used.add(column);
  }

  note(message) {
    const {about, tick} = this.rig;
    if (message.do !== "post") return;
    const [column, value] = columnOf(about, message.kind, message.index, message.value);
    // the order within a block is that of the rows, and a row holds one command
    this.commandAt = Math.max(tick, this.commandAt + 1);
    this.put(this.commandAt, column, value);
    this.commands.add(column);
  }

  // A straight line between two equal values needs only its ends.
  line(tick, column, value) {
    if (this.last.get(column) === value) {
      this.pending.set(column, [tick, value]);
      return;
    }
    const before = this.pending.get(column);
    if (before) this.put(before[0], column, before[1]);
    this.pending.delete(column);
    this.put(tick, column, value);
    this.last.set(column, value);
  }

  block(tick) {
    const {rig} = this, {about, engine} = rig;
    about.inputs.forEach((input, at) => {
      if (input.kind === "knob") this.line(tick, input.name, rig.knobs[at]);
      else this.line(tick, input.name, rig.volts[at]);
    });
    for (let i = 0; i < rig.block; i++) {
      const changed = engine.gatesIn[i] ^ this.heldGates;
      if (!changed) continue;
      about.gates.forEach((gate, at) => {
        if ((changed >>> at) & 1) this.put(tick + i, gate.name, (engine.gatesIn[i] >>> at) & 1);
      });
      this.heldGates = engine.gatesIn[i];
    }
  }

  text(ticks) {
    const {about} = this.rig;
    for (const [column, [tick, value]] of this.pending) this.put(tick, column, value);
    const names = [...[...about.inputs, ...about.gates].map(({name}) => name), ...this.commands];
    const rests = new Set(about.inputs.filter(({kind}) => kind !== "knob").map(({name}) => name));
    for (const row of this.rows.values()) for (const [name, value] of row) if (value !== 0) rests.delete(name);
    const columns = names.filter((name) => this.used.has(name) && !rests.has(name));
    const lines = [`time,${columns.join(",")}`];
    for (const tick of [...this.rows.keys()].sort((one, other) => one - other)) {
      const row = this.rows.get(tick);
      if (tick >= ticks || !columns.some((name) => row.has(name))) continue;
      lines.push([tick / about.rateHz, ...columns.map((name) => row.get(name) ?? "")].join(","));
    }
    return `${lines.join("\n")}\n`;
  }
}
