/** The model of the `spectral` family: codes to samples, and samples to codes. */
import { ArgumentError } from "../format/errors.js";
import { type Address, Kernels, Linear } from "./kernels.js";
import { FrameNet, MOST_ROWS, type Past } from "./net.js";
import { type About, type SpectralConfig, Weights } from "./weights.js";

const OVERLAP = 4; // hops in a frame of the transform

/** Memory and tables of the Fourier transform of a frame. */
class Transform {
  readonly size: number;
  readonly bins: number;
  readonly turns: Address;
  readonly x: Address;
  readonly y: Address;
  /** The root of the sum of the squares of Hann's window. */
  readonly norm: number;

  constructor(kernels: Kernels, hop: number) {
    this.size = OVERLAP * hop;
    this.bins = this.size / 2 + 1;
    this.norm = Math.sqrt(0.375 * this.size);
    [this.turns, this.x, this.y] = [0, 0, 0].map(() => kernels.reserve(4 * this.size)) as [
      Address, Address, Address,
    ];
    kernels.run.turns(this.turns, this.size);
  }
}

/** What a stream of latents has left for its next frames. */
export interface Outgoing {
  net: Past;
  /** The linear path's last two frames of MDCT coefficients. */
  waveform: Float32Array;
  /** Samples that are not final yet. */
  tail: Float32Array;
  /** Frames whose samples lie before the start of the stream. */
  skip: number;
}

/** What a stream of samples has left for its next frames. */
export interface Incoming {
  net: Past;
  past: Float32Array;
}

class Decoder {
  private readonly net: FrameNet;
  private readonly synthesis: Linear;
  private readonly inverse: Linear;
  private readonly window: Address;
  private readonly latent: Address;
  private readonly learned: Address;
  private readonly linear: Address;
  private readonly waveform: Address;
  private readonly mdct: Address;
  private readonly newest: Address;
  private readonly frame: Address;
  private readonly total: Address;

  constructor(
    private readonly kernels: Kernels,
    weights: Weights,
    private readonly config: SpectralConfig,
    private readonly transform: Transform,
    scratch: Address,
  ) {
    const { hop, latent, expansion, kernel } = config;
    const { bins, size, norm } = transform;
    const outputs = 2 * bins + hop;
    const shape = { width: config.decoder_width, depth: config.decoder_depth, expansion, kernel };
    this.net = new FrameNet(kernels, weights, "decoder", { inputs: latent, outputs, ...shape }, scratch);
    this.synthesis = weights.linear("synthesis", latent, bins + hop, scratch);
    kernels.run.mdct(scratch, hop, 1);
    this.inverse = new Linear(kernels, scratch, hop, 2 * hop);
    this.window = kernels.reserve(size);
    kernels.run.hann(this.window, size, norm / 1.5); // squared, a quarter apart, they sum to 1.5
    this.latent = kernels.reserve(MOST_ROWS * latent);
    this.learned = kernels.reserve(MOST_ROWS * this.net.output.stride);
    this.linear = kernels.reserve(MOST_ROWS * this.synthesis.stride);
    this.waveform = kernels.reserve((MOST_ROWS + 2) * hop);
    this.mdct = kernels.reserve(MOST_ROWS * hop);
    this.newest = kernels.reserve(MOST_ROWS * this.inverse.stride);
    this.frame = kernels.reserve(size);
    this.total = kernels.reserve(size);
  }

  start(): Outgoing {
    const { hop } = this.config;
    return {
      net: this.net.start(),
      waveform: new Float32Array(2 * hop),
      tail: new Float32Array((OVERLAP - 1) * hop),
      skip: OVERLAP - 1,
    };
  }

  /** Takes latents [rows, D]; returns the samples that are final, three frames behind. */
  step(latents: Float32Array, state: Outgoing): Float32Array {
    const { hop, latent } = this.config;
    const rows = latents.length / latent;
    const out = new Float32Array(rows * hop);
    for (let row = 0; row < rows; row += MOST_ROWS) {
      const part = latents.subarray(row * latent, (row + MOST_ROWS) * latent);
      this.some(part, state, out.subarray(row * hop, (row + MOST_ROWS) * hop));
    }
    const skip = Math.min(state.skip, rows);
    state.skip -= skip;
    return out.subarray(skip * hop);
  }

  private some(latents: Float32Array, state: Outgoing, out: Float32Array): void {
    const { kernels, config, transform: t } = this;
    const { hop, latent } = config;
    const { run } = kernels;
    const rows = latents.length / latent;
    kernels.view(this.latent, latents.length).set(latents);
    this.net.step(this.latent, this.learned, rows, state.net);
    this.synthesis.apply(this.latent, this.linear, rows);
    // the MDCT frame of the code before last lies in the older half of this frame
    kernels.view(this.waveform, 2 * hop).set(state.waveform);
    for (let row = 0; row < rows; row++) {
      const from = this.linear + 4 * (row * this.synthesis.stride + t.bins);
      kernels.copy(from, this.waveform + 4 * (row + 2) * hop, hop);
      const learned = this.learned + 4 * (row * this.net.output.stride + t.bins);
      run.expand(this.waveform + 4 * row * hop, learned, this.mdct + 4 * row * hop, hop);
    }
    state.waveform.set(kernels.view(this.waveform + 4 * rows * hop, 2 * hop));
    this.inverse.apply(this.mdct, this.newest, rows);
    kernels.view(this.total, t.size).set(state.tail);
    for (let row = 0; row < rows; row++) {
      kernels.view(this.total + 4 * (t.size - hop), hop).fill(0);
      this.overlap(row);
      out.set(kernels.view(this.total, hop), row * hop);
      kernels.copy(this.total + 4 * hop, this.total, t.size - hop);
    }
    state.tail.set(kernels.view(this.total, t.size - hop));
  }

  private overlap(row: number): void {
    const { frame, total, transform: t } = this;
    const { hop } = this.config;
    const { run } = this.kernels;
    const linear = this.linear + 4 * row * this.synthesis.stride;
    const learned = this.learned + 4 * row * this.net.output.stride;
    const phases = learned + 4 * (t.bins + hop);
    run.polar(linear, learned, phases, this.window, frame, t.x, t.y, t.turns, t.size);
    run.add(frame, this.newest + 4 * row * this.inverse.stride, 2 * hop);
    run.add(total, frame, t.size);
  }
}

class Encoder {
  private readonly net: FrameNet;
  private readonly analysis: Linear;
  private readonly forward: Linear;
  private readonly bands: Linear;
  private readonly books: Linear[];
  private readonly window: Address;
  private readonly samples: Address;
  private readonly newest: Address;
  private readonly powers: Address;
  private readonly envelope: Address;
  private readonly mdct: Address;
  private readonly seen: Address;
  private readonly analysed: Address;
  private readonly learned: Address;
  private readonly latent: Address;
  private readonly scores: Address;

  constructor(
    private readonly kernels: Kernels,
    weights: Weights,
    private readonly config: SpectralConfig,
    private readonly transform: Transform,
    private readonly entries: readonly Address[],
    scratch: Address,
  ) {
    const { hop, latent, expansion, kernel, bands, cardinality } = config;
    const { bins, size, norm } = transform;
    const inputs = bins + hop;
    const shape = { width: config.encoder_width, depth: config.encoder_depth, expansion, kernel };
    this.net = new FrameNet(kernels, weights, "encoder", { inputs, outputs: latent, ...shape }, scratch);
    this.analysis = weights.linear("analysis", bands + hop, latent, scratch);
    kernels.run.mdct(scratch, hop, 0);
    this.forward = new Linear(kernels, scratch, 2 * hop, hop);
    kernels.run.erbMeans(scratch, bins, bands, config.sample_rate);
    this.bands = new Linear(kernels, scratch, bins, bands);
    this.window = kernels.reserve(size);
    kernels.run.hann(this.window, size, 1 / norm);
    this.books = entries.map((at) => {
      kernels.run.halves(at, scratch, cardinality, latent);
      return new Linear(kernels, at, latent, cardinality, scratch);
    });
    const rows = (values: number): Address => kernels.reserve(MOST_ROWS * values);
    this.samples = kernels.reserve((MOST_ROWS + OVERLAP) * hop);
    this.newest = rows(2 * hop);
    this.powers = rows(bins);
    this.envelope = rows(this.bands.stride);
    this.mdct = rows(this.forward.stride);
    this.seen = rows(inputs);
    this.analysed = rows(bands + hop);
    this.learned = rows(this.net.output.stride);
    this.latent = rows(this.analysis.stride);
    this.scores = rows(cardinality);
  }

  start(): Incoming {
    return { net: this.net.start(), past: new Float32Array((OVERLAP - 1) * this.config.hop) };
  }

  /** Takes whole frames of samples, `MOST_ROWS` at most; returns their codes, codebook by codebook. */
  step(samples: Float32Array, codebooks: number, state: Incoming): Uint16Array[] {
    const { kernels, config, transform: t } = this;
    const { hop } = config;
    const rows = samples.length / hop;
    const before = (OVERLAP - 1) * hop;
    const joined = kernels.view(this.samples, before + samples.length);
    joined.set(state.past);
    joined.set(samples, before);
    state.past.set(joined.subarray(samples.length));
    for (let row = 0; row < rows; row++) {
      const frame = this.samples + 4 * row * hop;
      kernels.copy(frame + 8 * hop, this.newest + 8 * row * hop, 2 * hop);
      const powers = this.powers + 4 * row * t.bins;
      kernels.run.power(frame, this.window, powers, t.x, t.y, t.turns, t.size);
    }
    this.bands.apply(this.powers, this.envelope, rows);
    this.forward.apply(this.newest, this.mdct, rows);
    for (let row = 0; row < rows; row++) this.features(row);
    this.net.step(this.seen, this.learned, rows, state.net);
    this.analysis.apply(this.analysed, this.latent, rows);
    kernels.run.add(this.latent, this.learned, rows * this.analysis.stride);
    return this.search(rows, codebooks);
  }

  private features(row: number): void {
    const { run } = this.kernels;
    const { hop, bands } = this.config;
    const { bins } = this.transform;
    const seen = this.seen + 4 * row * (bins + hop);
    const analysed = this.analysed + 4 * row * (bands + hop);
    const mdct = this.mdct + 4 * row * this.forward.stride;
    run.logs(this.powers + 4 * row * bins, seen, bins, 6, 0.5);
    run.compand(mdct, seen + 4 * bins, hop, 2);
    run.logs(this.envelope + 4 * row * this.bands.stride, analysed, bands, 0, 1);
    run.compand(mdct, analysed + 4 * bands, hop, 1);
  }

  private search(rows: number, codebooks: number): Uint16Array[] {
    const { run } = this.kernels;
    const { latent, cardinality } = this.config;
    return this.books.slice(0, codebooks).map((book, k) => {
      book.apply(this.latent, this.scores, rows);
      const codes = new Uint16Array(rows);
      for (let row = 0; row < rows; row++) {
        const code = run.largest(this.scores + 4 * row * book.stride, cardinality);
        codes[row] = code;
        const entry = this.entries[k]! + 4 * code * latent;
        run.subtract(this.latent + 4 * row * this.analysis.stride, entry, latent);
      }
      return codes;
    });
  }
}

/** A model that decodes and encodes; one for any number of streams, whose states lie outside. */
export class SpectralModel {
  readonly config: SpectralConfig;
  /** Frames to decode before one that is to be exact, and after it. */
  readonly prerollFrames: number;
  readonly postrollFrames = OVERLAP - 1;
  private readonly transform: Transform;
  private readonly decoder: Decoder;
  private readonly entries: Address[];
  private readonly scratch: Address;
  private encoder: Encoder | undefined;
  private silent: Float32Array | undefined;
  private looking: [Address, Address, Address] | undefined;

  private constructor(
    private readonly kernels: Kernels,
    private readonly weights: Weights,
    readonly about: About,
  ) {
    const c = (this.config = about.config);
    for (const [what, size] of Object.entries({
      decoder_width: c.decoder_width, encoder_width: c.encoder_width, latent: c.latent,
      cardinality: c.cardinality,
    })) {
      if (size % 8) throw new ArgumentError(`${what} is ${size}: must be a multiple of 8`);
    }
    this.prerollFrames = c.decoder_depth * (c.kernel - 1);
    const most = Math.max(c.decoder_width, c.encoder_width);
    const bins = 2 * c.hop + 1;
    this.scratch = kernels.reserve(
      Math.max(most * most * c.expansion, most * (2 * bins + c.hop), 2 * c.hop * c.hop, bins * c.bands),
    );
    this.transform = new Transform(kernels, c.hop);
    this.entries = Array.from({ length: c.codebooks }, (_, k) =>
      weights.get(`quantizer.layers.${k}.embed`, [c.cardinality, c.latent]),
    );
    this.decoder = new Decoder(kernels, weights, c, this.transform, this.scratch);
  }

  /** Prepares a model: the bytes of its safetensors file, and what that does not say. */
  static async load(data: Uint8Array, about: About): Promise<SpectralModel> {
    const kernels = await Kernels.make();
    return new SpectralModel(kernels, new Weights(kernels, data), about);
  }

  startDecoding(): Outgoing {
    return this.decoder.start();
  }

  /** What codes of `frames` frames of one stream stand for: latents [frames, D]. */
  latentsOf(codes: readonly Uint16Array[], stream: number, frames: number): Float32Array {
    const { latent: width } = this.config;
    const out = new Float32Array(frames * width);
    for (const [k, layer] of codes.entries()) {
      const entries = this.kernels.view(this.entries[k]!, this.config.cardinality * width);
      for (let frame = 0; frame < frames; frame++) {
        const from = layer[stream * frames + frame]! * width;
        const to = frame * width;
        for (let i = 0; i < width; i++) out[to + i]! += entries[from + i]!;
      }
    }
    return out;
  }

  /** Takes latents [frames, D]; returns the samples that are final, three frames behind. */
  decode(latents: Float32Array, state: Outgoing): Float32Array {
    return this.decoder.step(latents, state);
  }

  /** Ends a stream: three frames of zero latents push out the samples that wait. */
  endDecoding(state: Outgoing): Float32Array {
    if (state.skip === this.postrollFrames) return new Float32Array(0); // nothing has come
    return this.decode(new Float32Array(this.postrollFrames * this.config.latent), state);
  }

  startEncoding(): Incoming {
    this.encoder ??= new Encoder(
      this.kernels, this.weights, this.config, this.transform, this.entries, this.scratch,
    );
    return this.encoder.start();
  }

  /** Takes whole frames of samples; returns their codes, codebook by codebook. */
  encode(samples: Float32Array, codebooks: number, state: Incoming): Uint16Array[] {
    const { hop } = this.config;
    const frames = samples.length / hop;
    const out = Array.from({ length: codebooks }, () => new Uint16Array(frames));
    for (let at = 0; at < frames; at += MOST_ROWS) {
      const part = samples.subarray(at * hop, (at + MOST_ROWS) * hop);
      this.encoder!.step(part, codebooks, state).forEach((codes, k) => out[k]!.set(codes, at));
    }
    return out;
  }

  /** Powers of the bins of 4 hops of samples under Hann's window; full scale is about 1. */
  spectrum(frame: Float32Array): Float32Array {
    const { transform: t, kernels } = this;
    if (!this.looking) {
      const [window, samples, powers] = [0, 0, 0].map(() => kernels.reserve(t.size));
      this.looking = [window!, samples!, powers!];
      kernels.run.hann(window!, t.size, 4 / t.size);
    }
    const [window, samples, powers] = this.looking;
    kernels.view(samples, t.size).set(frame);
    kernels.run.power(samples, window, powers, t.x, t.y, t.turns, t.size);
    return kernels.view(powers, t.bins).slice();
  }

  /** The model's own idea of silence: the last latent of coded zeros. */
  get silence(): Float32Array {
    if (!this.silent) {
      const { hop, codebooks } = this.config;
      const state = this.startEncoding();
      const zeros = new Float32Array((this.prerollFrames + 16) * hop);
      const codes = this.encode(zeros, codebooks, state).map((layer) => layer.slice(-1));
      this.silent = this.latentsOf(codes, 0, 1);
    }
    return this.silent;
  }
}
