/** Packets: their heads, their layers, and what a reader hands out. */
import {
  byteAt, countGoodLayers, crc16, crc32, type Cursor, getVarint, join, orBadFile, putLayers,
  putUint, putVarint, startsWith, SYNC, Wrong,
} from "./bytes.js";
import { BadFileError } from "./errors.js";
import { bitsOf, type Header } from "./header.js";
import * as limits from "./limits.js";

export const CODES = 0;
export const END = 1;
export const INDEX = 2;
export const REDUNDANCY = 3;
export const GAP = 4;
const HAS_FIRST_FRAME = 0x10;
const HAS_FRAMES = 0x20;
const HAS_LAYERS = 0x40;
const HAS_SCALE = 0x80;

/** Codes of consecutive frames: for each layer those of all frames of each stream in turn. */
export interface Packet {
  kind: "packet";
  sequence: number;
  firstFrame: number;
  frames: number;
  codes: Uint16Array[];
  scale: Float32Array | undefined;
}

/** A stretch of the timeline for which the file has no codes. */
export interface Loss {
  kind: "loss";
  firstFrame: number;
  frames: number;
  reason: string;
}

/** The head of a packet of codes. */
export interface Head {
  sequence: number;
  firstFrame: number;
  frames: number;
  /** Bytes of each layer, its check byte not counted. */
  lengths: readonly number[];
  scale: Float32Array | undefined;
  size: number;
  bodySize: number;
}

/** Turns the bytes of one layer of one packet into codes, by the layers below. */
export interface LayerCoding {
  /** Why layers can't be decoded here; absent or empty if they can. */
  missing?: string;
  /** Bytes that a layer takes, where that follows from these numbers. */
  size?(codes: number, codebookSize: number): number;
  /** Whether bytes can be a layer. */
  isSound(data: Uint8Array, streams: number, frames: number, codebookSize: number): boolean;
  decode(
    data: Uint8Array, below: readonly Uint16Array[], streams: number, frames: number,
    codebookSize: number,
  ): Uint16Array;
}

/** Kind 0: each code in as many bits as its codebook needs, least significant bit first. */
export const PACKED: Required<Omit<LayerCoding, "missing">> = {
  size: (codes, codebookSize) => Math.ceil((codes * bitsOf(codebookSize)) / 8),
  isSound(data, streams, frames, codebookSize) {
    if (data.length !== this.size(streams * frames, codebookSize)) return false;
    if (!(codebookSize & (codebookSize - 1))) return true;
    return this.decode(data, [], streams, frames, codebookSize).every((code) => code < codebookSize);
  },
  decode(data, _below, streams, frames, codebookSize) {
    const bits = bitsOf(codebookSize);
    const codes = new Uint16Array(streams * frames);
    let held = 0;
    let have = 0;
    let at = 0;
    for (let i = 0; i < codes.length; i++) {
      for (; have < bits; have += 8) held |= (data[at++] ?? 0) << have;
      codes[i] = held & ((1 << bits) - 1);
      held >>>= bits;
      have -= bits;
    }
    return codes;
  },
};

/** Packs codes as kind 0 does. */
export function packCodes(codes: Uint16Array, codebookSize: number): Uint8Array {
  const bits = bitsOf(codebookSize);
  const out = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  let held = 0;
  let have = 0;
  let at = 0;
  for (const code of codes) {
    held |= code << have;
    for (have += bits; have >= 8; have -= 8) {
      out[at++] = held;
      held >>>= 8;
    }
  }
  if (have) out[at] = held;
  return out;
}

/** By kind: the coding of the layers of a link with a header. */
export type Codings = ReadonlyMap<number, (header: Header) => LayerCoding>;
export const CODINGS: Codings = new Map([[0, () => PACKED]]);

/** How the packets of a link are laid out: what follows from its header. */
export class PacketLayout {
  readonly layers: number;
  readonly kinds: readonly number[];
  /** Layers that can be decoded, from the first on. */
  readonly readable: number;
  private readonly codings: (LayerCoding | undefined)[];
  private readonly regular: readonly number[];
  private readonly bytesTell: boolean;

  constructor(
    readonly header: Header,
    codings: Codings = CODINGS,
  ) {
    const { codebookSizes: sizes } = header;
    this.layers = sizes.length;
    this.kinds = header.kinds.length ? header.kinds : sizes.map(() => 0);
    const bound = new Map([...new Set(this.kinds)].map((kind) =>
      [kind, (codings.get(kind) ?? CODINGS.get(kind))?.(header)]));
    this.codings = this.kinds.map((kind) => bound.get(kind));
    const unknown = this.codings.indexOf(undefined);
    this.readable = unknown < 0 ? this.layers : unknown;
    this.bytesTell = sizes
      .slice(0, this.readable)
      .some((size, k) => this.kinds[k] !== 0 || (size & (size - 1)) !== 0);
    this.regular = this.lengths(header.packetFrames, this.layers);
  }

  /** Why codes can't be decoded here; empty if they can. */
  get missing(): string {
    if (!this.readable) return `the codes are of kind ${this.kinds[0]}, which is not known here`;
    return this.codings.map((coding) => coding?.missing).find(Boolean) ?? "";
  }

  private lengths(frames: number, layers: number): number[] {
    const { codebookSizes, streams } = this.header;
    return codebookSizes
      .slice(0, layers)
      .map((size, k) => this.codings[k]?.size?.(frames * streams, size) ?? 0);
  }

  /** Parses the head of a packet of codes that begins at `at` with its sync word. */
  getHead(data: Uint8Array, at: number): Head {
    const { header } = this;
    const kind = byteAt(data, at + 2);
    const cursor: Cursor = { data, at: at + 3 };
    const sequence = getVarint(cursor, limits.MAX_SEQUENCE);
    let firstFrame = sequence * header.packetFrames;
    let frames = header.packetFrames;
    let layers = this.layers;
    if (kind & HAS_FIRST_FRAME) firstFrame = getVarint(cursor, limits.MAX_COUNT);
    if (kind & HAS_FRAMES) frames = getVarint(cursor, header.packetFrames);
    if (kind & HAS_LAYERS) layers = getVarint(cursor, layers);
    let lengths = this.regular;
    if (kind & (HAS_FRAMES | HAS_LAYERS)) lengths = this.lengths(frames, layers);
    if (this.kinds.slice(0, layers).some((k) => k !== 0)) {
      lengths = lengths.map((length, k) =>
        this.kinds[k] ? getVarint(cursor, limits.MAX_PACKET) : length,
      );
    }
    const scaleAt = cursor.at;
    if (kind & HAS_SCALE) cursor.at += 4 * header.streams;
    const crc = byteAt(data, cursor.at) * 256 + byteAt(data, cursor.at + 1);
    if (!startsWith(data, SYNC, at) || (kind & 15) !== CODES || frames === 0) {
      throw new Wrong("not the head of a packet of codes");
    }
    if (crc16(data.subarray(at, cursor.at)) !== crc) throw new Wrong("a head is damaged");
    const size = cursor.at + 2 - at;
    const bodySize = lengths.reduce((sum, length) => sum + length + 1, 0);
    if (size + bodySize > limits.MAX_PACKET) throw new Wrong("a packet is too long");
    const scale = kind & HAS_SCALE ? floats(data, scaleAt, header.streams) : undefined;
    return { sequence, firstFrame, frames, lengths, scale, size, bodySize };
  }

  /** What is wrong with a packet's scale; nothing if it is right. */
  scaleFault(head: Head): string {
    const { scale } = head;
    if (!scale) {
      const missing = this.header.segment && head.lengths.length;
      return missing ? "scale is missing; each segment has one" : "";
    }
    const fits = scale.every((value) => value >= 0 && value <= limits.MAX_SCALE);
    return fits ? "" : `scale is ${[...scale].join(", ")}; it must be from 0 to ${limits.MAX_SCALE}`;
  }

  /**
   * How many layers of a packet are good: one that is damaged, or whose bytes are no codes, takes
   * those above it along. What can't be decoded is judged by its check alone.
   */
  countGood(head: Head, body: Uint8Array, checked = countGoodLayers(body, head.lengths)): number {
    if (this.scaleFault(head)) return 0;
    if (!this.bytesTell) return checked;
    const { streams, codebookSizes } = this.header;
    const layers = this.split(head, body, Math.min(checked, this.readable));
    const bad = layers.findIndex((data, k) =>
      !this.codings[k]!.isSound(data, streams, head.frames, codebookSizes[k]!));
    return bad < 0 ? checked : bad;
  }

  /** The codes of the first `good` layers, as far as their payload kind is known. */
  getPacket(head: Head, body: Uint8Array, good: number): Packet {
    const { streams, codebookSizes } = this.header;
    const { sequence, firstFrame, frames, scale } = head;
    const codes: Uint16Array[] = [];
    for (const [k, data] of this.split(head, body, Math.min(good, this.readable)).entries()) {
      codes.push(this.codings[k]!.decode(data, codes, streams, frames, codebookSizes[k]!));
    }
    return { kind: "packet", sequence, firstFrame, frames, codes, scale };
  }

  private split(head: Head, body: Uint8Array, layers: number): Uint8Array[] {
    let at = 0;
    return head.lengths.slice(0, layers).map((length) => {
      at += length + 1;
      return body.subarray(at - length - 1, at - 1);
    });
  }

  /** A packet of codes of kind 0, with all layers of the header. */
  putPacket(sequence: number, codes: readonly Uint16Array[]): Uint8Array {
    const { header } = this;
    const frames = codes[0]!.length / header.streams;
    const short = frames !== header.packetFrames;
    const head = join(
      SYNC,
      Uint8Array.of(short ? HAS_FRAMES : 0),
      putVarint(sequence),
      short ? putVarint(frames) : new Uint8Array(0),
    );
    const layers = codes.map((layer, k) => packCodes(layer, header.codebookSizes[k]!));
    return join(head, putUint(crc16(head), 2), putLayers(layers));
  }
}

function floats(data: Uint8Array, at: number, count: number): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset + at, 4 * count);
  return Float32Array.from({ length: count }, (_, i) => view.getFloat32(4 * i));
}

/** A packet of any type but codes. */
export function putOther(kind: number, payload: Uint8Array): Uint8Array {
  const head = join(SYNC, Uint8Array.of(kind), putVarint(payload.length));
  return join(head, putUint(crc16(head), 2), payload, putUint(crc32(payload), 4));
}

/** Parses the head of any other packet; returns the sizes of its head and of its payload. */
export function getOther(data: Uint8Array, at: number): [number, number] {
  const kind = byteAt(data, at + 2);
  const cursor: Cursor = { data, at: at + 3 };
  const length = getVarint(cursor, limits.MAX_PACKET);
  const crc = byteAt(data, cursor.at) * 256 + byteAt(data, cursor.at + 1);
  if (!startsWith(data, SYNC, at) || kind > 15 || crc16(data.subarray(at, cursor.at)) !== crc) {
    throw new Wrong("a head is damaged");
  }
  return [cursor.at + 2 - at, length];
}

/** Reads a gap packet's payload: the first frame, and the frame after the last. */
export function getGap(payload: Uint8Array): [number, number] {
  return orBadFile("a gap packet is malformed", () => {
    const cursor: Cursor = { data: payload, at: 0 };
    const first = getVarint(cursor, limits.MAX_COUNT);
    const frames = getVarint(cursor, limits.MAX_COUNT);
    if (frames === 0) throw new BadFileError("a gap packet covers no frames");
    return [first, first + frames];
  });
}
