// The phone's hands: motion, faders and pads become positions, at most sixty times a second.

const SEND_MS = 1000 / 60, AGAIN_MS = 1000, LEAST = 0.002;
const GRAVITY_S = 0.15; // time constant that parts gravity from motion
const ENERGY_S = 0.1, ENERGY_MOST = 15; // m/s²
const TURN_MOST = 360; // degrees a second
const JERK_LEAST = 400, JERK_MOST = 2500, QUIET_MS = 80, SHAKE_MS = 60; // m/s³
const MOTION = ["tilt_x", "tilt_y", "turn", "energy", "shake"];
const MIDDLE = new Set(["tilt_x", "tilt_y", "turn"]);

const $ = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const clip = (value) => Math.min(1, Math.max(0, value));

// What is to be said, to a bridge that may come and go.
class Wire {
  constructor() {
    this.waiting = {};
    this.told = {};
    this.strikes = [];
    this.open();
    setInterval(() => this.flush(), SEND_MS);
  }

  open() {
    this.socket = new WebSocket(`wss://${location.host}/ws${location.search}`);
    this.socket.onopen = () => {
      this.told = {};
      state("on", "Connected");
    };
    this.socket.onmessage = ({data}) => placed(JSON.parse(data).at);
    this.socket.onclose = () => {
      state("off", "Not connected: is the bridge still there, and fewer than four phones?");
      setTimeout(() => this.open(), AGAIN_MS);
    };
  }

  // A position: only the last one counts.
  level(name, value) {
    if (Math.abs(value - (this.told[name] ?? -1)) >= LEAST) this.waiting[name] = value;
  }

  // An edge: each counts.
  edge(name, value) {
    if (this.socket.readyState === WebSocket.OPEN) this.strikes.push([name, value]);
  }

  flush() {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > 4096) return;
    const {waiting} = this;
    this.waiting = {};
    for (const [name, value] of Object.entries(waiting)) this.told[name] = value;
    if (Object.keys(waiting).length) this.socket.send(JSON.stringify(waiting));
    for (const [name, value] of this.strikes.splice(0)) this.socket.send(JSON.stringify({[name]: value}));
  }
}

function state(is, words) {
  $("state").dataset.is = is;
  $("state").textContent = words;
}

// ---- motion ----

class Motion {
  constructor(wire) {
    this.wire = wire;
    this.armed = new Set();
    this.gravity = null;
    this.energy = 0;
    this.last = null;
    this.quietUntil = 0;
    this.asks = typeof DeviceMotionEvent !== "undefined" && typeof DeviceMotionEvent.requestPermission === "function";
    this.sign = /iPhone|iPad|iPod/.test(navigator.userAgent) ? -1 : 1; // iOS gives accelerations with the other sign
    addEventListener("devicemotion", (event) => this.hear(event));
    if ($("allow")) $("allow").addEventListener("click", () => this.allow());
    for (const button of all("[data-arm]")) button.addEventListener("click", () => this.arm(button));
  }

  async allow() {
    if (typeof DeviceMotionEvent === "undefined") {
      $("told").textContent = "This browser tells no motion; faders and pads play all the same.";
      return;
    }
    if (this.asks && (await DeviceMotionEvent.requestPermission().catch(() => "denied")) !== "granted") {
      $("told").textContent = "Motion was not allowed; allow it in the browser's settings for this page.";
      return;
    }
    if (navigator.wakeLock) navigator.wakeLock.request("screen").catch(() => {});
    $("told").textContent = this.last === null ? "Allowed. Move the phone; a computer has nothing to tell." : "Motion is heard.";
  }

  arm(button) {
    const name = button.dataset.arm, on = !this.armed.has(name);
    if (on) this.armed.add(name);
    else this.armed.delete(name);
    button.setAttribute("aria-pressed", String(on));
    document.querySelector(`[data-meter="${name}"]`).classList.toggle("armed", on);
    if (on && this.asks && this.last === null) this.allow();
  }

  hear({accelerationIncludingGravity: all, acceleration, rotationRate, timeStamp}) {
    if (!all || all.x === null) return;
    const now = [all.x, all.y, all.z].map((part) => this.sign * part);
    const seconds = this.last === null ? 0.016 : Math.min(0.2, Math.max(0.001, (timeStamp - this.last.at) / 1000));
    if (this.last === null && $("told")) $("told").textContent = "Motion is heard. Arm what it shall move.";
    const keep = Math.exp(-seconds / GRAVITY_S);
    this.gravity = this.gravity === null ? now : this.gravity.map((was, at) => keep * was + (1 - keep) * now[at]);
    const [x, y, z] = this.gravity;
    const rotated = rotationRate && rotationRate.alpha !== null ? rotationRate.alpha : 0;
    const own = acceleration && acceleration.x !== null ? [acceleration.x, acceleration.y, acceleration.z]
      : now.map((part, at) => part - this.gravity[at]);
    const decay = Math.exp(-seconds / ENERGY_S);
    this.energy = decay * this.energy + (1 - decay) * Math.hypot(...own);
    this.say("tilt_x", 0.5 - Math.atan2(x, Math.hypot(y, z)) / Math.PI);
    this.say("tilt_y", 0.5 + Math.atan2(y, Math.hypot(x, z)) / Math.PI);
    this.say("turn", clip(0.5 + rotated / (2 * TURN_MOST)));
    this.say("energy", clip(this.energy / ENERGY_MOST));
    if (this.last !== null) {
      const jerk = Math.hypot(...now.map((part, at) => part - this.last.now[at])) / seconds;
      if (jerk > JERK_LEAST && timeStamp >= this.quietUntil) this.shake(clip(jerk / JERK_MOST), timeStamp);
    }
    this.last = {now, at: timeStamp};
  }

  say(name, value) {
    show(name, value);
    if (this.armed.has(name)) this.wire.level(name, value);
  }

  shake(strength, at) {
    this.quietUntil = at + QUIET_MS;
    show("shake", strength);
    setTimeout(() => show("shake", 0), 2 * QUIET_MS);
    if (!this.armed.has("shake")) return;
    this.wire.edge("shake", strength);
    setTimeout(() => this.wire.edge("shake", 0), SHAKE_MS);
  }
}

function show(name, value) {
  const meter = document.querySelector(`[data-meter="${name}"]`);
  if (!meter) return;
  const middle = MIDDLE.has(name);
  meter.style.setProperty("--from", String(middle ? Math.min(0.5, value) : 0));
  meter.style.setProperty("--to", String(middle ? Math.max(0.5, value) : value));
}

// ---- faders and pads ----

const STEPS = {ArrowUp: 0.01, ArrowRight: 0.01, ArrowDown: -0.01, ArrowLeft: -0.01, PageUp: 0.1, PageDown: -0.1, Home: -1, End: 1};

function setFader(track, value) {
  const shown = Math.round(100 * value);
  track.style.setProperty("--at", String(value));
  track.dataset.at = String(value);
  track.setAttribute("aria-valuenow", String(shown));
  document.querySelector(`[data-shown="${track.dataset.fader}"]`).textContent = String(shown);
}

// Where the instrument's parameters stand, until a hand moves them.
function placed(at) {
  for (const track of all("[data-fader]")) {
    if (track.dataset.fader in at && !track.dataset.moved) setFader(track, at[track.dataset.fader]);
  }
  document.body.removeAttribute("aria-busy");
}

function fader(track, wire) {
  const move = (value) => {
    track.dataset.moved = "yes";
    setFader(track, clip(value));
    wire.level(track.dataset.fader, clip(value));
  };
  const follow = ({clientY}) => {
    const box = track.getBoundingClientRect();
    move((box.bottom - clientY) / box.height);
  };
  track.addEventListener("pointerdown", (event) => {
    track.setPointerCapture(event.pointerId);
    follow(event);
  });
  track.addEventListener("pointermove", (event) => {
    if (track.hasPointerCapture(event.pointerId)) follow(event);
  });
  track.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    move(Number(track.dataset.at ?? 0.5) + STEPS[event.key]);
  });
}

function pad(button, wire) {
  const holders = new Set();
  const press = (by) => {
    if (holders.size === 0) wire.edge(button.dataset.pad, 1);
    holders.add(by);
    button.classList.add("pressed");
  };
  const release = (by) => {
    if (!holders.delete(by) || holders.size) return;
    wire.edge(button.dataset.pad, 0);
    button.classList.remove("pressed");
  };
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    press(event.pointerId);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    button.addEventListener(end, (event) => release(event.pointerId));
  }
  button.addEventListener("keydown", ({key, repeat}) => {
    if ((key === " " || key === "Enter") && !repeat) press("key");
  });
  button.addEventListener("keyup", () => release("key"));
  button.addEventListener("blur", () => release("key"));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}

const wire = new Wire();
for (const track of all("[data-fader]")) fader(track, wire);
for (const button of all("[data-pad]")) pad(button, wire);
for (const name of MOTION) show(name, MIDDLE.has(name) ? 0.5 : 0);
new Motion(wire);
