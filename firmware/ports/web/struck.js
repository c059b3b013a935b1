// For a module without a sound of its own: every gate that leaves it strikes a drum, as loud as its velocity output says.

const VELOCITY_VOLTS = 5, UNKNOWN_VELOCITY = 0.7, HEADROOM = 0.8;

export class Struck {
  // hits: [{gate, cv, pan, sound: Float32Array}].
  constructor(hits, most) {
    this.hits = hits.map((hit) => ({...hit, at: hit.sound.length, velocity: 0, high: 0}));
    this.rows = [new Float32Array(most), new Float32Array(most)];
  }

  // What is heard of the block that an engine has just rendered: left and right.
  render(engine, ticks) {
    const [left, right] = this.rows;
    left.fill(0, 0, ticks);
    right.fill(0, 0, ticks);
    for (let n = 0; n < this.hits.length; n++) {
      const hit = this.hits[n], toLeft = HEADROOM * Math.min(1, 1 - hit.pan), toRight = HEADROOM * Math.min(1, 1 + hit.pan);
      for (let i = 0; i < ticks; i++) {
        const high = (engine.gatesOut[i] >>> hit.gate) & 1;
        if (high && !hit.high) {
          hit.at = 0;
          hit.velocity = hit.cv < 0 ? UNKNOWN_VELOCITY : Math.min(Math.max(engine.cvOut[hit.cv][i] / VELOCITY_VOLTS, 0), 1);
        }
        hit.high = high;
        if (hit.at < hit.sound.length) {
          const value = hit.velocity * hit.sound[hit.at++];
          left[i] += toLeft * value;
          right[i] += toRight * value;
        }
      }
    }
  }
}
