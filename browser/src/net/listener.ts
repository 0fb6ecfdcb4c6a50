/** The receiving side of a call: packets in as they come, sound out on a clock, without a gap. */
import { Concealer } from "../codec/concealment.js";
import type { Outgoing, SpectralModel } from "../model/spectral.js";
import { JitterBuffer } from "./jitter.js";
import type { Hello } from "./messages.js";
import { type Codes, Counter, getPayload, type Rtp, type Shape } from "./rtp.js";

const FADE_SECONDS = 0.005;
/** Root mean squares that are quiet: of full scale, and of the loudest of the last seconds. */
const [QUIET, BELOW] = [10 ** (-50 / 20), 10 ** (-30 / 20)];
const FORGET_SECONDS = 5;
/** Seconds of excess that are worth a cut: where it is quiet, and anywhere. */
const [WORTH, TOO_MUCH] = [0.003, 0.1];
/** Seconds of excess that are not even decoded: this machine could not keep up, or slept. */
const BEHIND = 0.5;
/**
 * At the beginning, when neither the fastest packet is known yet nor whether copies will be sent,
 * time is cut wherever it is.
 */
const SETTLE_SECONDS = 2;

export class Listener {
  readonly buffer: JitterBuffer;
  concealed = 0;
  private readonly shape: Shape;
  private readonly length: number;
  private readonly decoding: Outgoing;
  private readonly concealer: Concealer;
  private readonly sequence = new Counter(16);
  private readonly timestamp = new Counter(32);
  private first: number | undefined;
  private seen = new Set<number>();
  private highest: number | undefined;
  private reported: number | undefined;
  private gap = 0;
  private count = 0;
  private loudest = 0;

  constructor(
    private readonly model: SpectralModel,
    { frames, layers }: Hello,
  ) {
    const { config } = model;
    this.shape = { codebookSizes: Array.from({ length: layers }, () => config.cardinality), frames };
    this.length = (frames * config.hop) / config.sample_rate;
    this.buffer = new JitterBuffer(this.length);
    this.decoding = model.startDecoding();
    const rate = config.sample_rate / config.hop;
    this.concealer = new Concealer(() => model.silence, config.latent, 1, rate);
  }

  /** Seconds of the sender's sound that have been pulled. */
  get played(): number {
    return this.count * this.length;
  }

  /** Takes a packet that came at `at` seconds; one that is none of this sender's is an error. */
  receive(rtp: Rtp, at: number): void {
    const { codes, copies } = getPayload(rtp.payload, this.shape);
    const timestamp = this.timestamp.nearest(rtp.timestamp);
    this.first ??= timestamp;
    const number = (timestamp - this.first) / (this.shape.frames * this.model.config.hop);
    if (!Number.isInteger(number)) return;
    this.timestamp.see(rtp.timestamp);
    const sequence = this.sequence.see(rtp.sequence);
    this.highest = Math.max(sequence, this.highest ?? sequence);
    this.seen.add(sequence);
    this.buffer.put(number, codes, copies, at);
  }

  /** What is heard next: about a packet's length, never nothing. */
  pull(now: number): Float32Array {
    const { hop, sample_rate: rate } = this.model.config;
    const wait = this.buffer.due(now);
    if (wait === undefined || wait > 0) {
      return new Float32Array(Math.max(Math.round(Math.min(wait ?? 1, this.length) * rate), 1));
    }
    const behind = this.buffer.behind(now);
    if (behind > BEHIND) this.buffer.skip(Math.floor(behind / this.length));
    const codes = this.buffer.take(now);
    const block = this.shape.frames * hop;
    const early = this.count++ * this.length < SETTLE_SECONDS;
    const sound = this.decode(codes);
    // What lies before the stream's beginning comes out as nothing: the first packets are short.
    const x = sound.length < block ? padded(sound, block) : sound;
    return this.stretched(x, this.buffer.held - this.buffer.target, early);
  }

  /** What to tell the sender of the time since the last report. */
  report(): { lost: number; late: number } {
    if (this.highest === undefined) return { lost: 0, late: 0 };
    const from = this.reported === undefined ? Math.min(...this.seen) : this.reported + 1;
    const expected = this.highest - from + 1;
    const came = [...this.seen].filter((number) => number >= from).length;
    this.seen = new Set();
    this.reported = this.highest;
    const lost = expected > 0 ? Math.min(Math.max(1 - came / expected, 0), 1) : 0;
    return { lost, late: this.buffer.typicalLateness() };
  }

  private decode(codes: Codes | undefined): Float32Array {
    const { model, concealer } = this;
    const { frames } = this.shape;
    const silent = codes ? codes.length === 0 : this.buffer.silent;
    if (codes?.length) {
      const latents = model.latentsOf(codes, 0, frames);
      this.gap = 0;
      concealer.heard([latents]);
      return model.decode(latents, this.decoding);
    }
    if (silent) {
      const latents = concealer.silent(frames);
      this.gap = 0;
      concealer.heard(latents);
      return model.decode(latents[0]!, this.decoding);
    }
    this.concealed++;
    const [latents] = concealer.bridge(this.gap, frames, this.gap + frames, undefined);
    this.gap += frames;
    return model.decode(latents!, this.decoding);
  }

  /** Leaves samples out, or repeats the last ones, where nobody hears it. */
  private stretched(x: Float32Array, excess: number, anywhere: boolean): Float32Array {
    const { sample_rate: rate } = this.model.config;
    const level = Math.sqrt(x.reduce((sum, one) => sum + one * one, 0) / x.length);
    this.loudest = Math.max(level, this.loudest * 0.5 ** (x.length / rate / FORGET_SECONDS));
    const quiet = anywhere || level < Math.max(QUIET, BELOW * this.loudest);
    if (Math.abs(excess) < (quiet ? WORTH : TOO_MUCH)) return x;
    const fade = Math.round(FADE_SECONDS * rate);
    const count = Math.min(Math.round(Math.abs(excess) * rate), x.length - fade - 1);
    this.buffer.correct((Math.sign(excess) * count) / rate);
    const out = new Float32Array(x.length - Math.sign(excess) * count);
    const turn = excess > 0 ? 0 : x.length - fade; // where one part goes over into the other
    const other = excess > 0 ? count : x.length - fade - count;
    out.set(x.subarray(0, turn));
    for (let i = 0; i < fade; i++) {
      out[turn + i] = x[turn + i]! + (i / (fade - 1)) * (x[other + i]! - x[turn + i]!);
    }
    out.set(x.subarray(other + fade), turn + fade);
    return out;
  }
}

function padded(x: Float32Array, length: number): Float32Array {
  const out = new Float32Array(length);
  out.set(x, length - x.length);
  return out;
}
