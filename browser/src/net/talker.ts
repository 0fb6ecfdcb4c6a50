/** The sending side of a call: samples in, datagrams out. */
import type { Incoming, SpectralModel } from "../model/spectral.js";
import type { Hello } from "./messages.js";
import type { RateControl } from "./rate.js";
import { type Codes, MAX_COPIES, putPayload, putRtp, type Shape } from "./rtp.js";

const SILENT_RMS = 10 ** (-60 / 20);
/** How long it must have been silent: the end of a word is not cut off. */
const HANG_SECONDS = 0.25;
/** Between the packets that say that it is silent still; the first comes twice. */
const AGAIN_SECONDS = 0.4;

export class Talker {
  readonly ssrc: number;
  private sequence: number;
  private timestamp: number;
  private readonly shape: Shape;
  private readonly block: number;
  private readonly seconds: number;
  private readonly encoding: Incoming;
  private waiting = new Float32Array(0);
  private history: Codes[] = [];
  private quiet = 0;
  private silences = 0;
  private marker = true;

  constructor(
    private readonly model: SpectralModel,
    private readonly rate: RateControl,
    private readonly frames: number,
  ) {
    const { hop, sample_rate, cardinality } = model.config;
    const sizes = Array.from({ length: rate.codebooks }, () => cardinality);
    this.shape = { codebookSizes: sizes, frames };
    this.block = frames * hop;
    this.seconds = this.block / sample_rate;
    this.encoding = model.startEncoding();
    const [ssrc, sequence, timestamp] = crypto.getRandomValues(new Uint32Array(3));
    [this.ssrc, this.sequence, this.timestamp] = [ssrc!, sequence!, timestamp!];
  }

  get hello(): Hello {
    const { about, config } = this.model;
    return {
      kind: "hello", model: about.name, hash: about.fingerprint, rate: config.sample_rate,
      hop: config.hop, frames: this.frames, layers: this.shape.codebookSizes.length,
    };
  }

  /** Takes samples; returns the datagrams that are ready. */
  push(samples: Float32Array): Uint8Array[] {
    const joined = new Float32Array(this.waiting.length + samples.length);
    joined.set(this.waiting);
    joined.set(samples, this.waiting.length);
    const out: Uint8Array[] = [];
    let at = 0;
    for (; at + this.block <= joined.length; at += this.block) {
      const data = this.say(joined.subarray(at, at + this.block));
      if (data) out.push(data);
    }
    this.waiting = joined.slice(at);
    return out;
  }

  private say(x: Float32Array): Uint8Array | undefined {
    const level = Math.sqrt(x.reduce((sum, one) => sum + one * one, 0) / x.length);
    this.quiet = level < SILENT_RMS ? this.quiet + this.seconds : 0;
    const all = this.model.encode(x, this.shape.codebookSizes.length, this.encoding);
    const timestamp = this.timestamp;
    this.timestamp = (this.timestamp + this.block) % 2 ** 32;
    if (this.quiet <= HANG_SECONDS) {
      const codes = all.slice(0, this.rate.codebooks);
      const copies = this.copies(codes.length);
      this.silences = 0;
      this.history = [...this.history, codes].slice(-MAX_COPIES);
      const marker = this.marker;
      this.marker = false;
      return this.packet(codes, copies, timestamp, marker);
    }
    this.history = [];
    this.marker = true;
    this.silences++;
    const again = Math.round(AGAIN_SECONDS / this.seconds);
    if (this.silences > 2 && this.silences % again) return undefined;
    return this.packet([], [], timestamp, false);
  }

  private copies(own: number): Codes[] {
    const { copies, copyLayers } = this.rate;
    const past = copies ? this.history.slice(-copies) : [];
    const below = Math.min(copyLayers, own, ...past.map(({ length }) => length));
    return past.map((codes) => codes.slice(0, below));
  }

  private packet(codes: Codes, copies: Codes[], timestamp: number, marker: boolean): Uint8Array {
    const sequence = this.sequence++ & 0xffff;
    const payload = putPayload({ codes, copies }, this.shape);
    return putRtp({ marker, sequence, timestamp, ssrc: this.ssrc, payload });
  }
}
