/** `ncodec` for JavaScript: .ecdc files read, decoded and written; without a page around it. */
import { type Audio, Sound } from "./codec/sound.js";
import { CODINGS, type Codings } from "./format/packets.js";
import { predicted, Tables } from "./format/predicted.js";
import { SpectralModel } from "./model/spectral.js";
import type { About } from "./model/weights.js";

export { Recorder, type RecorderOptions } from "./codec/recorder.js";
export { Resampler } from "./codec/resampler.js";
export { type Audio, Sound } from "./codec/sound.js";
export { wave } from "./codec/wave.js";
export * from "./format/errors.js";
export type { Header } from "./format/header.js";
export type { Loss, Packet } from "./format/packets.js";
export { type Codings } from "./format/packets.js";
export { Tables } from "./format/predicted.js";
export { LinkReader, openLinks, survey } from "./format/reader.js";
export { SpectralModel } from "./model/spectral.js";
export type { About, SpectralConfig } from "./model/weights.js";

export interface DecodeOptions {
  /** Use only the first ones. */
  codebooks?: number;
  /** Go on after damage, and bridge what is lost. */
  keepGoing?: boolean;
  /** By which layers may have been predicted. */
  tables?: readonly Tables[];
}

/** Decodes a whole file, at its source's rate. */
export function decode(
  data: Uint8Array, model: SpectralModel, options: DecodeOptions = {},
): { rate: number; audio: Audio } {
  const sound = new Sound(data, {
    strict: !options.keepGoing, codings: codingsWith(options.tables ?? []),
  });
  const blocks = [...sound.decoded(model, options.codebooks)];
  return { rate: sound.sourceRate, audio: joined(blocks, sound.channels) };
}

/** A model that is loaded, and the tables that predict its codes: for file after file. */
export class Decoder {
  constructor(readonly model: SpectralModel, private readonly options: DecodeOptions = {}) {}

  /** Loads a safetensors file; `about` says whose it is. */
  static async load(
    weights: Uint8Array, about: About, options: DecodeOptions = {},
  ): Promise<Decoder> {
    return new Decoder(await SpectralModel.load(weights, about), options);
  }

  decode(data: Uint8Array): { rate: number; audio: Audio } {
    return decode(data, this.model, this.options);
  }

  /** Blocks of a file's sound as they are decoded, at its source's rate. */
  blocks(data: Uint8Array): Generator<Audio> {
    const { keepGoing, tables = [], codebooks } = this.options;
    const sound = new Sound(data, { strict: !keepGoing, codings: codingsWith(tables) });
    return sound.decoded(this.model, codebooks);
  }
}

/** All codings of layers that are known here. */
export function codingsWith(tables: readonly Tables[]): Codings {
  return new Map([...CODINGS, [1, predicted(tables)]]);
}

/** Joins blocks of audio end to end. */
export function joined(blocks: readonly Audio[], channels: number): Audio {
  const length = blocks.reduce((sum, block) => sum + (block[0]?.length ?? 0), 0);
  return Array.from({ length: channels }, (_, c) => {
    const out = new Float32Array(length);
    let at = 0;
    for (const block of blocks) {
      out.set(block[c]!, at);
      at += block[c]!.length;
    }
    return out;
  });
}
