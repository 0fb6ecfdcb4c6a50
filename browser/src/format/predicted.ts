/** Kind 1: codes under frequencies that tables predict, in whole numbers: the same everywhere. */
import { equal, latin, startsWith } from "./bytes.js";
import { BadFileError, LimitError, TablesError } from "./errors.js";
import type { Header } from "./header.js";
import { type LayerCoding, PACKED } from "./packets.js";
import { Sha256 } from "./sha256.js";

const MAGIC = latin("ECPT");
const MOST_BYTES = 2 ** 22;
const FORBIDDEN = Uint8Array.of(255, 255, 255, 255);
/** A layer has a byte, its check counted, for so many codes. */
const CODES_A_BYTE = 256;
const MOST_SYMBOLS = 256;
const TOP = 2 ** 24;

interface Layer {
  blocks: number;
  /** Codes of a block. */
  count: number;
  /** Code by place. */
  codes: Uint16Array;
  embeddings: Int8Array;
  /** [P D][H], and so on: matrices row by row. */
  inputs: Int8Array;
  inputBias: Int32Array;
  blockWeights: Int8Array;
  blockBias: Int32Array;
  /** Block by block, [H][count]. */
  entries: Int8Array;
  entryBias: Int32Array;
}

/** Tables that predict the codes of a model. */
export class Tables {
  /** The first 16 bytes of their SHA-256: files name them by it. */
  readonly hash: Uint8Array;
  readonly sizes: number[];
  readonly before: number;
  readonly after: number;
  readonly own: number;
  readonly width: number;
  readonly units: number;
  readonly weights: Float64Array;
  readonly layers: Layer[];

  constructor(private readonly data: Uint8Array) {
    if (data.length > MOST_BYTES) throw new LimitError("prediction tables of more than 4 MiB");
    if (!startsWith(data, MAGIC) || data[4] !== 1 || data.length < 12) {
      throw new BadFileError("no prediction tables of version 1");
    }
    this.hash = new Sha256().update(data).digest().slice(0, 16);
    const [layers = 0, before = 0, after = 0, own = 0, width = 0] = data.subarray(5, 10);
    [this.before, this.after, this.own, this.width] = [before, after, own, width];
    let at = 10;
    const take = (bytes: number): DataView => {
      if (at + bytes > data.length) throw new BadFileError("prediction tables end early");
      at += bytes;
      return new DataView(data.buffer, data.byteOffset + at - bytes, bytes);
    };
    const uint16 = (count: number): Uint16Array => {
      const view = take(2 * count);
      return Uint16Array.from({ length: count }, (_, i) => view.getUint16(2 * i, true));
    };
    const int32 = (count: number): Int32Array => {
      const view = take(4 * count);
      return Int32Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true));
    };
    const int8 = (count: number): Int8Array => {
      const view = take(count);
      return new Int8Array(view.buffer, view.byteOffset, count);
    };
    this.units = uint16(1)[0]!;
    const shapes = uint16(2 * layers);
    this.sizes = Array.from({ length: layers }, (_, k) => shapes[2 * k + 1]!);
    this.weights = Float64Array.from(int32(256));
    const embeddings = this.sizes.map((size) => int8(size * width));
    const context = (1 + before + after) * width;
    this.layers = this.sizes.map((size, k) => {
      const blocks = shapes[2 * k]!;
      if (!blocks || size % blocks || Math.max(blocks, size / blocks) > MOST_SYMBOLS) {
        throw new BadFileError("prediction tables of uneven blocks, or of too many");
      }
      const places = uint16(size);
      const codes = new Uint16Array(size);
      places.forEach((place, code) => (codes[place] = code));
      const [inputs, inputBias] = [int8(context * this.units), int32(this.units)];
      const [blockWeights, blockBias] = [int8(this.units * blocks), int32(blocks)];
      const [entries, entryBias] = [int8(this.units * size), int32(size)];
      const count = size / blocks;
      const layer = { blocks, count, codes, embeddings: embeddings[k]!, inputs, inputBias };
      const turned = byBlock(entries, this.units, blocks, count);
      return { ...layer, blockWeights, blockBias, entries: turned, entryBias };
    });
    if (at !== data.length) throw new BadFileError("prediction tables with bytes too many");
  }

  get bytes(): number {
    return this.data.length;
  }
}

function byBlock(entries: Int8Array, units: number, blocks: number, count: number): Int8Array {
  const out = new Int8Array(entries.length);
  for (let unit = 0; unit < units; unit++) {
    for (let block = 0; block < blocks; block++) {
      const from = (unit * blocks + block) * count;
      out.set(entries.subarray(from, from + count), (block * units + unit) * count);
    }
  }
  return out;
}

/** Decodes a range code, symbol by symbol. */
class RangeDecoder {
  private at = 4;
  private code: number;
  private range = 2 ** 32 - 1;

  /** Begins; what the bytes lack is zeros. */
  constructor(private readonly data: Uint8Array) {
    const [a = 0, b = 0, c = 0, d = 0] = data;
    this.code = a * TOP + b * 65536 + c * 256 + d;
  }

  /** The next symbol, by the first `count` frequencies, whose sum is `total`. */
  pull(frequencies: Float64Array, count: number, total: number): number {
    const part = Math.floor(this.range / total);
    const value = Math.min(Math.floor(this.code / part), total - 1);
    let symbol = 0;
    let begin = 0;
    for (; begin + frequencies[symbol]! <= value; symbol++) begin += frequencies[symbol]!;
    this.code -= part * begin;
    this.range = symbol === count - 1 ? this.range - part * begin : part * frequencies[symbol]!;
    while (this.range < TOP) {
      this.code = this.code * 256 + (this.data[this.at++] ?? 0);
      this.range *= 256;
    }
    return symbol;
  }
}

/** Decodes the layers of one packet, one after the other. */
class Predictor {
  private readonly frequencies = new Float64Array(MOST_SYMBOLS);
  private total = 0;

  constructor(private readonly tables: Tables) {}

  /** The sums of the embeddings of layers of a stream: [frames][D]. */
  sums(below: readonly Uint16Array[], stream: number, frames: number): Int32Array {
    const { width, layers } = this.tables;
    const out = new Int32Array(frames * width);
    for (const [k, codes] of below.entries()) {
      for (let frame = 0; frame < frames; frame++) {
        const from = codes[stream * frames + frame]! * width;
        for (let i = 0; i < width; i++) out[frame * width + i]! += layers[k]!.embeddings[from + i]!;
      }
    }
    return out;
  }

  /** The units of a frame: whole numbers from 0 to 127. */
  unitsOf(k: number, below: Int32Array, past: Int32Array, frame: number, units: Float64Array): void {
    const { before, after } = this.tables;
    const { inputs, inputBias } = this.tables.layers[k]!;
    units.set(inputBias);
    this.gather(below, frame, 0, inputs, units);
    for (let n = 1; n <= before; n++) this.gather(past, frame - n, n, inputs, units);
    for (let n = 1; n <= after; n++) this.gather(below, frame + n, before + n, inputs, units);
    const most = units.length;
    for (let h = 0; h < most; h++) {
      units[h] = Math.min(Math.max(Math.floor((units[h]! + 16) / 32), 0), 127);
    }
  }

  private gather(
    sums: Int32Array, frame: number, part: number, inputs: Int8Array, units: Float64Array,
  ): void {
    const { width } = this.tables;
    const from = frame * width;
    if (frame < 0 || from >= sums.length) return;
    const count = units.length;
    for (let i = 0; i < width; i++) {
      const x = Math.min(Math.max(sums[from + i]!, -127), 127);
      if (!x) continue;
      const row = (part * width + i) * count;
      for (let h = 0; h < count; h++) units[h]! += x * inputs[row + h]!;
    }
  }

  /** Frequencies from units, `weights` [H][count] and `bias`. */
  private predict(
    units: Float64Array, weights: Int8Array, bias: Int32Array, first: number, block: number,
    count: number,
  ): void {
    const f = this.frequencies;
    for (let i = 0; i < count; i++) f[i] = bias[first + i]!;
    let row = block * units.length * count;
    for (let h = 0; h < units.length; h++, row += count) {
      const unit = units[h]!;
      if (unit) for (let i = 0; i < count; i++) f[i]! += unit * weights[row + i]!;
    }
    let best = f[0]!;
    for (let i = 1; i < count; i++) best = Math.max(best, f[i]!);
    let sum = 0;
    for (let i = 0; i < count; i++) {
      f[i] = this.tables.weights[Math.min(Math.floor((best - f[i]! + 64) / 128), 255)]!;
      sum += f[i]!;
    }
    const scale = Math.floor(2 ** 42 / sum) / 2 ** 26; // every product here is exact in float64
    this.total = 0;
    for (let i = 0; i < count; i++) {
      f[i] = Math.max(Math.floor(f[i]! * scale), 1);
      this.total += f[i]!;
    }
  }

  block(k: number, units: Float64Array, reader: RangeDecoder): number {
    const { blockWeights, blockBias, blocks } = this.tables.layers[k]!;
    this.predict(units, blockWeights, blockBias, 0, 0, blocks);
    return reader.pull(this.frequencies, blocks, this.total);
  }

  code(k: number, units: Float64Array, block: number, reader: RangeDecoder): number {
    const { entries, entryBias, count, codes } = this.tables.layers[k]!;
    this.predict(units, entries, entryBias, block * count, block, count);
    return codes[block * count + reader.pull(this.frequencies, count, this.total)]!;
  }

  decode(data: Uint8Array, below: readonly Uint16Array[], streams: number, frames: number): Uint16Array {
    const k = below.length;
    const reader = new RangeDecoder(data);
    const sums = Array.from({ length: streams }, (_, s) => this.sums(below, s, frames));
    return k < this.tables.own
      ? this.decodeOwn(k, sums, reader, frames)
      : this.decodeLayer(k, sums, reader, frames);
  }

  /** A layer that sees its own past: frame by frame the blocks of all streams, then their places. */
  private decodeOwn(k: number, sums: Int32Array[], reader: RangeDecoder, frames: number): Uint16Array {
    const { width, units: size, layers } = this.tables;
    const { embeddings } = layers[k]!;
    const out = new Uint16Array(sums.length * frames);
    const past = sums.map((below) => below.slice());
    const units = sums.map(() => new Float64Array(size));
    for (let frame = 0; frame < frames; frame++) {
      const blocks = sums.map((below, s) => {
        this.unitsOf(k, below, past[s]!, frame, units[s]!);
        return this.block(k, units[s]!, reader);
      });
      blocks.forEach((block, s) => {
        const code = this.code(k, units[s]!, block, reader);
        out[s * frames + frame] = code;
        const to = frame * width;
        for (let i = 0; i < width; i++) past[s]![to + i]! += embeddings[code * width + i]!;
      });
    }
    return out;
  }

  /** A layer that does not: first all blocks, then all places, frame by frame, stream by stream. */
  private decodeLayer(k: number, sums: Int32Array[], reader: RangeDecoder, frames: number): Uint16Array {
    const { units: size } = this.tables;
    const streams = sums.length;
    const out = new Uint16Array(streams * frames);
    const units = new Float64Array(streams * frames * size);
    const blocks = new Uint16Array(streams * frames);
    const of = (i: number): Float64Array => units.subarray(i * size, (i + 1) * size);
    for (let i = 0; i < blocks.length; i++) {
      const below = sums[i % streams]!;
      this.unitsOf(k, below, below, Math.floor(i / streams), of(i));
      blocks[i] = this.block(k, of(i), reader);
    }
    for (let i = 0; i < blocks.length; i++) {
      const code = this.code(k, of(i), blocks[i]!, reader);
      out[(i % streams) * frames + Math.floor(i / streams)] = code;
    }
    return out;
  }
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The coding of layers by whichever of these tables a header names. */
export function predicted(known: readonly Tables[]): (header: Header) => LayerCoding {
  return (header) => {
    const tables = known.find(({ hash }) => header.tables && equal(hash, header.tables));
    const predictor = tables && new Predictor(tables);
    const wanted = hex(header.tables ?? new Uint8Array(0));
    const missing = predictor ? "" : `coded with prediction tables ${wanted}, which are not here`;
    return {
      missing,
      isSound(data, streams, frames, size) {
        const most = PACKED.size(streams * frames, size);
        if (data.length === most) return PACKED.isSound(data, streams, frames, size);
        const least = Math.ceil((streams * frames) / CODES_A_BYTE) - 1;
        return data.length >= least && data.length < most && !startsWith(data, FORBIDDEN);
      },
      decode(data, below, streams, frames, size) {
        if (!predictor || !tables) throw new TablesError(missing);
        const sizes = header.codebookSizes.slice(0, below.length + 1);
        if (sizes.some((codes, k) => codes !== tables.sizes[k])) {
          throw new TablesError(`prediction tables ${wanted} are for other codebooks`);
        }
        return data.length === PACKED.size(streams * frames, size)
          ? PACKED.decode(data, below, streams, frames, size)
          : predictor.decode(data, below, streams, frames);
      },
    };
  };
}
