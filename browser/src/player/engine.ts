/** What runs in the worker: one model, the sounds that are open, and recordings under way. */
import { Recorder } from "../codec/recorder.js";
import { type Audio, hex, Sound, type Track } from "../codec/sound.js";
import { waveHeader, waveSamples } from "../codec/wave.js";
import { codingsWith, joined, Tables } from "../index.js";
import { kbps } from "../format/header.js";
import { Call, type CallState, type Came } from "../net/call.js";
import type { Losses } from "../format/reader.js";
import { SpectralModel } from "../model/spectral.js";
import type { About } from "../model/weights.js";
import { unpack, unpackWeights } from "./weights.js";

/** A model: a safetensors file, or one as `ncodec page` packs it. */
export interface ModelSource {
  about: About;
  weights: Uint8Array | string;
  /** Tables that predict its codes, likewise. */
  tables?: (Uint8Array | string)[];
}

/** A packet, or a stretch without one, as the page draws it; seconds of the file's sound. */
export interface Stretch {
  at: number;
  seconds: number;
  /** Layers that are good, and those that it has; none of a loss. */
  good: number;
  layers: number;
  bytes: number;
}

export interface LinkSummary {
  model: string;
  modelHash: string;
  sampleRate: number;
  hop: number;
  streams: number;
  codebookSizes: number[];
  kinds: readonly number[];
  packetFrames: number;
  sourceRate: number;
  sourceChannels: number;
  gainDb: number;
  peeled: boolean;
  tags: [string, string][];
  seconds: number;
  kbps: number;
  losses: Losses;
  problems: string[];
}

export interface Summary {
  rate: number;
  sourceRate: number;
  channels: number;
  /** Samples at `rate`. */
  length: number;
  bytes: number;
  codebooks: number;
  /** Bitrate in kbps of the first codebook, the first two, ... */
  steps: number[];
  damaged: boolean;
  links: LinkSummary[];
  stretches: Stretch[];
  /** Why the model here can't decode it; empty if it can. */
  fault: string;
}

/** A part of the picture: columns from `first` on. */
export interface Columns {
  first: number;
  count: number;
  total: number;
  /** Least and largest sample of each column. */
  peaks: Float32Array;
  /** `BANDS` levels of each column, 0 (-90 dB) to 255. */
  levels: Uint8Array;
  done: boolean;
}

export const BANDS = 96;
const MOST_COLUMNS = 1200;
const LOWEST_HERTZ = 50;
const OVERVIEW_SAMPLES = 24000;

function linkSummary({ reader, header, begin, end }: Track): LinkSummary {
  return {
    model: header.model, modelHash: hex(header.modelHash), sampleRate: header.sampleRate,
    hop: header.hop, streams: header.streams, codebookSizes: header.codebookSizes,
    kinds: reader.layout.kinds, packetFrames: header.packetFrames,
    sourceRate: header.sourceRate, sourceChannels: header.sourceChannels, gainDb: header.gainDb,
    peeled: header.peeled, tags: header.tags, seconds: (end - begin) / header.sampleRate,
    kbps: kbps(header), losses: reader.losses, problems: reader.problems,
  };
}

function stretchesOf(sound: Sound): Stretch[] {
  return sound.tracks.flatMap(({ events, header, begin, offset }) =>
    events.map((event) => {
      const { firstFrame, frames } = event.kind === "loss" ? event : event.head;
      return {
        at: (firstFrame * header.hop - begin + offset) / sound.rate,
        seconds: (frames * header.hop) / sound.rate,
        good: event.kind === "loss" ? 0 : event.good,
        layers: event.kind === "loss" ? 0 : event.head.lengths.length,
        bytes: event.kind === "loss" ? 0 : event.data.length,
      };
    }));
}

/** Reads a stream in pieces of any length. */
class Pieces {
  private held: Audio | undefined;
  private taken = 0;

  constructor(
    private readonly blocks: Iterator<Audio>,
    private readonly channels: number,
    public at: number,
    readonly codebooks: number,
  ) {}

  read(count: number): Audio {
    const parts: Audio[] = [];
    for (let left = count; left > 0; ) {
      if (!this.held || this.taken >= this.held[0]!.length) {
        const next = this.blocks.next();
        if (next.done) break;
        this.held = next.value;
        this.taken = 0;
      }
      const part = this.held.map((c) => c.subarray(this.taken, this.taken + left));
      this.taken += part[0]!.length;
      left -= part[0]!.length;
      parts.push(part);
    }
    const audio = joined(parts, this.channels);
    this.at += audio[0]!.length;
    return audio;
  }
}

/** The picture of a sound, column after column. */
class Overview {
  private readonly pieces: Pieces;
  private readonly total: number;
  private readonly span: number;
  private held = new Float32Array(0);
  private first = 0;

  constructor(
    private readonly model: SpectralModel,
    private readonly sound: Sound,
  ) {
    this.total = Math.max(Math.min(MOST_COLUMNS, Math.ceil(sound.length / model.config.hop)), 1);
    this.span = Math.max(sound.length / this.total, 1);
    this.pieces = new Pieces(sound.stream(model), sound.channels, 0, sound.codebooks);
  }

  next(): Columns {
    const audio = this.pieces.read(OVERVIEW_SAMPLES);
    const taken = audio[0]!.length;
    const mono = new Float32Array(this.held.length + taken);
    mono.set(this.held);
    for (let i = 0; i < taken; i++) {
      mono[this.held.length + i] = audio.reduce((sum, c) => sum + c[i]!, 0) / audio.length;
    }
    const done = taken < OVERVIEW_SAMPLES;
    const begin = Math.floor(this.first * this.span);
    const whole = Math.floor((begin + mono.length) / this.span) - this.first;
    const count = done ? this.total - this.first : Math.min(whole, this.total - this.first);
    const peaks = new Float32Array(2 * count);
    const levels = new Uint8Array(BANDS * count);
    for (let i = 0; i < count; i++) {
      const from = Math.floor((this.first + i) * this.span) - begin;
      const column = mono.subarray(from, Math.max(Math.floor((this.first + i + 1) * this.span) - begin, from + 1));
      peaks[2 * i] = column.reduce((least, x) => Math.min(least, x), 0);
      peaks[2 * i + 1] = column.reduce((most, x) => Math.max(most, x), 0);
      this.bands(column, levels.subarray(BANDS * i, BANDS * (i + 1)));
    }
    const { first, total } = this;
    this.first += count;
    this.held = mono.slice(Math.floor(this.first * this.span) - begin);
    return { first, count, total, peaks, levels, done };
  }

  private bands(column: Float32Array, out: Uint8Array): void {
    const { rate } = this.sound;
    const frame = new Float32Array(4 * this.model.config.hop);
    const middle = Math.max(Math.floor((column.length - frame.length) / 2), 0);
    frame.set(column.subarray(middle, middle + frame.length));
    const powers = this.model.spectrum(frame);
    const place = (band: number): number =>
      (LOWEST_HERTZ * (rate / 2 / LOWEST_HERTZ) ** (band / BANDS) * frame.length) / rate;
    for (let band = 0; band < BANDS; band++) {
      const from = Math.floor(place(band));
      const to = Math.max(Math.floor(place(band + 1)), from + 1);
      const power = powers.subarray(from, to).reduce((most, x) => Math.max(most, x), 1e-9);
      out[band] = Math.min(Math.max((255 * (10 * Math.log10(power) + 90)) / 100, 0), 255);
    }
  }
}

interface Open {
  sound: Sound;
  pieces?: Pieces;
  overview?: Overview;
  wave?: Iterator<Audio>;
}

/** Calls of the page, each answered once. */
export class Engine {
  private model: SpectralModel | undefined;
  private codings = codingsWith([]);
  private readonly open_ = new Map<number, Open>();
  private readonly recorders = new Map<number, Recorder>();
  private readonly calls = new Map<number, Call>();
  private count = 0;

  async load({ about, weights, tables = [] }: ModelSource): Promise<void> {
    const data = typeof weights === "string" ? await unpackWeights(weights) : weights;
    this.model = await SpectralModel.load(data, about);
    const unpacked = tables.map((one) => (typeof one === "string" ? unpack(one) : one));
    this.codings = codingsWith((await Promise.all(unpacked)).map((one) => new Tables(one)));
  }

  /** Reads a file; returns a number for it, and what it holds. */
  open(data: Uint8Array): [number, Summary] {
    const sound = new Sound(data, { codings: this.codings });
    let fault = "";
    try {
      sound.check(this.ready);
    } catch (error) {
      fault = (error as Error).message;
    }
    const { header } = sound.tracks[0]!;
    this.open_.set(++this.count, { sound });
    return [this.count, {
      rate: sound.rate, sourceRate: sound.sourceRate, channels: sound.channels,
      length: sound.length, bytes: data.length, codebooks: sound.codebooks,
      steps: header.codebookSizes.map((_, k) => kbps(header, k + 1)),
      damaged: sound.damaged, links: sound.tracks.map(linkSummary),
      stretches: stretchesOf(sound), fault,
    }];
  }

  close(id: number): void {
    this.open_.delete(id);
  }

  /** Samples from a place on; fewer at the end. */
  read(id: number, from: number, count: number, codebooks: number): Audio {
    const open = this.open_.get(id)!;
    const { sound } = open;
    if (open.pieces?.at !== from || open.pieces.codebooks !== codebooks) {
      const blocks = sound.stream(this.ready, from, codebooks);
      open.pieces = new Pieces(blocks, sound.channels, from, codebooks);
    }
    return open.pieces.read(count);
  }

  /** The next columns of the picture. */
  overview(id: number): Columns {
    const open = this.open_.get(id)!;
    open.overview ??= new Overview(this.ready, open.sound);
    return open.overview.next();
  }

  /** The next bytes of the file's sound as WAV, begun anew with `codebooks`; none at the end. */
  wave(id: number, codebooks?: number): Uint8Array | undefined {
    const open = this.open_.get(id)!;
    if (codebooks !== undefined) open.wave = open.sound.decoded(this.ready, codebooks);
    const next = open.wave!.next();
    return next.done ? undefined : waveSamples(next.value);
  }

  waveHeader(id: number, bytes: number): Uint8Array {
    const { sourceRate, channels } = this.open_.get(id)!.sound;
    return waveHeader(sourceRate, channels, bytes);
  }

  record(codebooks: number): number {
    this.recorders.set(++this.count, new Recorder(this.ready, { codebooks }));
    return this.count;
  }

  push(id: number, samples: Float32Array): void {
    this.recorders.get(id)!.push([samples]);
  }

  /** Ends a recording; returns the file. */
  finish(id: number): Uint8Array {
    const file = this.recorders.get(id)!.finish();
    this.recorders.delete(id);
    return file;
  }

  /** Begins a call; `talks` says whether anything will be said here. */
  call(talks: boolean): number {
    this.calls.set(++this.count, new Call(this.ready, talks));
    return this.count;
  }

  /** What `Call.turn` says, and how the call is. */
  turn(
    id: number, came: Came[], said: Float32Array, wanted: number, now: number,
  ): [Uint8Array[], Float32Array, CallState] {
    const call = this.calls.get(id)!;
    return [...call.turn(came, said, wanted, now), call.state];
  }

  /** Ends a call; returns the datagrams that say so. */
  leave(id: number): Uint8Array[] {
    const said = this.calls.get(id)!.leave();
    this.calls.delete(id);
    return said;
  }

  private get ready(): SpectralModel {
    if (!this.model) throw new Error("no model was loaded");
    return this.model;
  }
}
