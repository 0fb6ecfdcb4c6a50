/** Codes as payloads of RTP, one a datagram: `formats/RTP.md`. One stream a frame, as calls have it. */
import { BadFileError } from "../format/errors.js";

export const MAX_COPIES = 7;
const HEAD = 12;

/** Codes of some frames, codebook by codebook; none is silence. */
export type Codes = Uint16Array[];

/** What all packets of a sender have in common. */
export interface Shape {
  codebookSizes: readonly number[];
  frames: number;
}

export interface Payload {
  codes: Codes;
  /** Of the packets directly before, the oldest first, all of as many codebooks. */
  copies: Codes[];
}

export interface Rtp {
  marker: boolean;
  sequence: number;
  timestamp: number;
  ssrc: number;
  payload: Uint8Array;
}

export function putRtp({ marker, sequence, timestamp, ssrc, payload }: Rtp): Uint8Array {
  const out = new Uint8Array(HEAD + payload.length);
  const view = new DataView(out.buffer);
  view.setUint8(0, 0x80);
  view.setUint8(1, (marker ? 0x80 : 0) | 96);
  view.setUint16(2, sequence);
  view.setUint32(4, timestamp);
  view.setUint32(8, ssrc);
  out.set(payload, HEAD);
  return out;
}

/** Reads a datagram; contributing sources, a header extension and padding are passed over. */
export function getRtp(data: Uint8Array): Rtp {
  if (data.length < HEAD || data[0]! >> 6 !== 2) throw new BadFileError("no RTP packet");
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const first = data[0]!;
  let begin = HEAD + 4 * (first & 15);
  let end = data.length;
  if (first & 0x10) {
    begin = begin + 4 <= end ? begin + 4 + 4 * view.getUint16(begin + 2) : end + 1;
  }
  if (first & 0x20) end -= data[end - 1]! || data.length; // a count of 0 would not count itself
  if (begin > end) throw new BadFileError("an RTP packet that ends inside its head");
  return {
    marker: data[1]! >> 7 === 1, sequence: view.getUint16(2), timestamp: view.getUint32(4),
    ssrc: view.getUint32(8), payload: data.subarray(begin, end),
  };
}

const bitsOf = (size: number): number => Math.ceil(Math.log2(size));

function sizeOf({ codebookSizes, frames }: Shape, layers: number): number {
  const bits = codebookSizes.slice(0, layers).reduce((sum, size) => sum + bitsOf(size), 0);
  return Math.ceil((bits * frames) / 8);
}

export function putPayload({ codes, copies }: Payload, shape: Shape): Uint8Array {
  const below = copies[0]?.length ?? 0;
  const sizes = [...copies, codes].map((layers) => sizeOf(shape, layers.length));
  const out = new Uint8Array(2 + sizes.reduce((sum, size) => sum + size, 0));
  out[0] = ((shape.frames - 1) << 5) | codes.length;
  out[1] = (copies.length << 5) | below;
  let at = 2;
  [...copies, codes].forEach((layers, i) => {
    pack(layers, shape, out.subarray(at, at + sizes[i]!));
    at += sizes[i]!;
  });
  return out;
}

/** Reads what `putPayload` gave; any other bytes are a `BadFileError`. */
export function getPayload(data: Uint8Array, shape: Shape): Payload {
  if (data.length < 2) throw new BadFileError(`a payload of ${data.length} bytes; at least 2`);
  const [frames, layers] = [(data[0]! >> 5) + 1, data[0]! & 31];
  const [count, below] = [data[1]! >> 5, data[1]! & 31];
  const most = shape.codebookSizes.length;
  if (frames !== shape.frames || Math.max(layers, below) > most || !count !== !below) {
    throw new BadFileError(`a payload of ${layers} layers, ${count} copies of ${below}`);
  }
  const heights = [...Array.from({ length: count }, () => below), layers];
  const sizes = heights.map((height) => sizeOf(shape, height));
  if (data.length !== 2 + sizes.reduce((sum, size) => sum + size, 0)) {
    throw new BadFileError(`a payload of ${data.length} bytes, which its head denies`);
  }
  let at = 2;
  const parts = heights.map((height, i) => {
    at += sizes[i]!;
    return unpack(data.subarray(at - sizes[i]!, at), shape, height);
  });
  return { codes: parts[count]!, copies: parts.slice(0, count) };
}

/** Layer by layer, the least significant bit first, as one run of bits. */
function pack(codes: Codes, { codebookSizes }: Shape, out: Uint8Array): void {
  let place = 0;
  codes.forEach((layer, k) => {
    const bits = bitsOf(codebookSizes[k]!);
    for (const code of layer) {
      for (let bit = 0; bit < bits; bit++, place++) {
        out[place >> 3]! |= ((code >> bit) & 1) << (place & 7);
      }
    }
  });
}

function unpack(data: Uint8Array, { codebookSizes, frames }: Shape, layers: number): Codes {
  let place = 0;
  const take = (bits: number): number => {
    let value = 0;
    for (let bit = 0; bit < bits; bit++, place++) {
      value |= ((data[place >> 3]! >> (place & 7)) & 1) << bit;
    }
    return value;
  };
  const out = codebookSizes.slice(0, layers).map((size) => {
    const layer = Uint16Array.from({ length: frames }, () => take(bitsOf(size)));
    if (layer.some((code) => code >= size)) throw new BadFileError("a code beyond its codebook");
    return layer;
  });
  if (take(8 * data.length - place)) throw new BadFileError("bits behind a payload's last code");
  return out;
}

/** A number whose upper bits are not sent, made whole again: the nearest to the largest so far. */
export class Counter {
  private last: number | undefined;

  constructor(private readonly bits: number) {}

  see(value: number): number {
    const number = this.nearest(value);
    this.last = this.last === undefined ? number : Math.max(number, this.last);
    return number;
  }

  /** What `see` would return; it changes nothing. */
  nearest(value: number): number {
    const last = this.last ?? value;
    const span = 2 ** this.bits;
    const step = (((value - last) % span) + span) % span;
    return last + (step < span / 2 ? step : step - span);
  }
}
