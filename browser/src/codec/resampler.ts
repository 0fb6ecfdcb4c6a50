/** Samples at another rate: a windowed sinc, exact in place and in length. */

const ZEROS = 48; // crossings of the sinc on each side
const ROLLOFF = 0.95;
const BETA = 10;
const MOST_PHASES = 4096;

/** Bessel's I0, by its series. */
function bessel(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a: number, b: number): number {
  return b ? gcd(b, a % b) : a;
}

/**
 * Turns a stream at one rate into one at another. Sample j of the output lies at the time of input
 * sample j * from / to; before and after the input there is silence.
 */
export class Resampler {
  private readonly step: number;
  private readonly phases: number;
  private readonly reach: number;
  private readonly filters: Float64Array;
  private held = new Float32Array(0);
  private heldAt: number;
  private next = 0;

  constructor(
    private readonly from: number,
    private readonly to: number,
  ) {
    const divisor = gcd(from, to);
    this.step = from / divisor;
    this.phases = to / divisor;
    const cutoff = ROLLOFF * Math.min(1, to / from);
    this.reach = from === to ? 0 : Math.ceil(ZEROS / cutoff);
    this.heldAt = -this.reach;
    this.held = new Float32Array(this.reach);
    const rows = Math.min(this.phases, MOST_PHASES);
    const width = 2 * this.reach;
    this.filters = new Float64Array(rows * width);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < width; i++) {
        const t = i - this.reach + 1 - row / rows;
        const place = t / this.reach;
        const window = Math.abs(place) < 1 ? bessel(BETA * Math.sqrt(1 - place * place)) : 0;
        const angle = Math.PI * cutoff * t;
        const sinc = angle ? Math.sin(angle) / angle : 1;
        this.filters[row * width + i] = (cutoff * sinc * window) / bessel(BETA);
      }
    }
  }

  /** Takes input samples; returns the output samples that have all they need. */
  push(samples: Float32Array): Float32Array {
    if (this.from === this.to) return samples;
    const joined = new Float32Array(this.held.length + samples.length);
    joined.set(this.held);
    joined.set(samples, this.held.length);
    const { reach, step, phases, filters } = this;
    const width = 2 * reach;
    const rows = filters.length / width;
    const out: number[] = [];
    let first = 0;
    for (; ; this.next++) {
      const place = this.next * step; // over `phases`: the place in input samples
      const whole = Math.floor(place / phases);
      first = whole - reach + 1 - this.heldAt;
      if (first + width > joined.length) break;
      const row = Math.floor(((place % phases) * rows) / phases) * width;
      let sum = 0;
      for (let i = 0; i < width; i++) sum += joined[first + i]! * filters[row + i]!;
      out.push(sum);
    }
    const drop = Math.min(Math.max(first, 0), joined.length);
    this.held = joined.slice(drop);
    this.heldAt += drop;
    return Float32Array.from(out);
  }

  /** Ends the input: the output that is left, silence after it. */
  finish(): Float32Array {
    return this.push(new Float32Array(2 * this.reach));
  }
}
