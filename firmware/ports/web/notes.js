// For a module that says notes by gates and volts: each gate plays a few harmonics that decay (firmware/midi/pitched.py).

class Tone {
  constructor() {
    this.age = this.left = 0; // samples since it began; until it is silent, Infinity while it is held
    this.turns = this.step = 0;
    this.decay = 0;
  }

  begin(step) {
    this.age = 0;
    this.left = Infinity;
    this.turns = 0;
    this.step = step;
    this.decay = 1;
  }
}

export class Notes {
  // about: {voices: [{gate, cv, untilNext}], lowestHz, harmonics, level, attackS, decayPerS, releaseS, longestS}.
  constructor(about, most, rateHz) {
    this.about = about;
    this.rateHz = rateHz;
    this.release = about.releaseS * rateHz;
    this.keep = Math.exp(-about.decayPerS / rateHz);
    // the note that sounds, and the one before it, which fades
    this.voices = about.voices.map((voice) => ({...voice, high: 0, held: false, key: 0, now: new Tone(), past: new Tone()}));
    const row = new Float32Array(most);
    this.rows = [row, row];
  }

  // What is heard of the block that an engine has just rendered: left and right, which are one.
  render(engine, ticks) {
    const row = this.rows[0];
    row.fill(0, 0, ticks);
    for (let n = 0; n < this.voices.length; n++) {
      const voice = this.voices[n];
      for (let i = 0; i < ticks; i++) {
        this.follow(voice, (engine.gatesOut[i] >>> voice.gate) & 1, Math.round(12 * engine.cvOut[voice.cv][i]));
        row[i] += this.next(voice.now) + this.next(voice.past);
      }
    }
  }

  follow(voice, high, key) {
    const rises = high && !voice.high, held = voice.untilNext ? voice.held || high : high;
    if (rises || (held && key !== voice.key)) {
      const fading = voice.past;
      voice.past = voice.now;
      this.end(voice.past);
      voice.now = fading;
      voice.now.begin((this.about.lowestHz * 2 ** (key / 12)) / this.rateHz);
      voice.key = key;
    } else if (voice.held && !held) this.end(voice.now);
    voice.held = held;
    voice.high = high;
  }

  end(tone) {
    if (tone.left === Infinity) tone.left = this.release;
  }

  next(tone) {
    if (tone.left <= 0) return 0;
    if (tone.age >= this.about.longestS * this.rateHz) this.end(tone);
    const angle = 2 * Math.PI * tone.turns, twice = 2 * Math.cos(angle);
    let before = 0, sine = Math.sin(angle), sum = 0;
    for (let h = 1; h <= this.about.harmonics; h++) {
      sum += sine / (h * Math.sqrt(h));
      const after = twice * sine - before;
      before = sine;
      sine = after;
    }
    const attack = Math.min(1, tone.age / (this.about.attackS * this.rateHz));
    const value = this.about.level * attack * tone.decay * Math.min(1, tone.left / this.release) * sum;
    tone.age++;
    tone.left--;
    tone.turns += tone.step;
    tone.turns -= Math.floor(tone.turns);
    tone.decay *= this.keep;
    return value;
  }
}
