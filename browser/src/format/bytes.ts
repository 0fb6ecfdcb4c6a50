/** The smallest parts of the format: integers, checks, and what opens and closes packets. */
import { BadFileError } from "./errors.js";

export const MAGIC = latin("ECDC");
export const VERSION = 1;
export const LINK_START = join(MAGIC, Uint8Array.of(VERSION));
export const HEADER_TAIL = latin("\r\n");
export const SYNC = Uint8Array.of(0xec, 0xdc);
export const FOOTER_MAGIC = latin("CDCE");
export const FOOTER_SIZE = 8;
export const CHECK_MODULUS = 227;
export const BELOW_MODULUS = 251;

/** The data end inside what is read. */
export class Short extends Error {}
/** What stands there is not what is read. */
export class Wrong extends Error {}

export function latin(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function startsWith(data: Uint8Array, start: Uint8Array, at = 0): boolean {
  return start.every((byte, i) => data[at + i] === byte);
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && startsWith(a, b);
}

export function byteAt(data: Uint8Array, at: number): number {
  const byte = data[at];
  if (byte === undefined) throw new Short();
  return byte;
}

export function uint32(data: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = data.subarray(at, at + 4);
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

export function putUint(value: number, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = bytes - 1; i >= 0; i--) {
    out[i] = value % 256;
    value = Math.floor(value / 256);
  }
  return out;
}

/** A place in bytes that moves on as integers are read. */
export interface Cursor {
  data: Uint8Array;
  at: number;
}

/** Reads an unsigned integer of at most `most`: LEB128 in its shortest form. */
export function getVarint(cursor: Cursor, most: number): number {
  let value = 0;
  let place = 1;
  for (let count = 1; ; count++) {
    const byte = byteAt(cursor.data, cursor.at++);
    value += (byte & 127) * place; // products: shifts would cut to 32 bits
    place *= 128;
    if (byte < 128) {
      if (byte === 0 && count > 1) throw new Wrong("an integer is not in its shortest form");
      break;
    }
    if (count === 8) {
      byteAt(cursor.data, cursor.at);
      throw new Wrong("an integer is longer than 8 bytes");
    }
  }
  if (value > most) throw new Wrong(`an integer is ${value}, more than ${most}`);
  return value;
}

export function putVarint(value: number): Uint8Array {
  const out: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) out.push((value % 128) + 128);
  out.push(value);
  return Uint8Array.from(out);
}

const CRC32 = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

const CRC16 = Uint16Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 8;
  for (let bit = 0; bit < 8; bit++) value = value & 0x8000 ? (value << 1) ^ 0x1021 : value << 1;
  return value;
});

/** The CRC of zlib and PNG. */
export function crc32(data: Uint8Array): number {
  let value = -1;
  for (const byte of data) value = (value >>> 8) ^ (CRC32[(value ^ byte) & 255] ?? 0);
  return ~value >>> 0;
}

/** CRC-16/IBM-3740, the check of packets' heads. */
export function crc16(data: Uint8Array): number {
  let value = 0xffff;
  for (const byte of data) value = ((value << 8) & 0xffff) ^ (CRC16[(value >> 8) ^ byte] ?? 0);
  return value;
}

const MODULUS = CHECK_MODULUS * BELOW_MODULUS;

/** The number that a layer's bytes are, behind the remainder of the layer below, modulo both. */
function layerSum(data: Uint8Array, begin: number, end: number, below: number): number {
  let value = below;
  for (let at = begin; at < end; at++) value = (value * 256 + (data[at] ?? 0)) % MODULUS;
  return value;
}

/** How many layers of a packet's body, from the first on, agree with their checks. */
export function countGoodLayers(body: Uint8Array, lengths: readonly number[]): number {
  let at = 0;
  let below = 1;
  for (const [count, length] of lengths.entries()) {
    const end = at + length;
    if (end >= body.length) return count;
    const value = layerSum(body, at, end, below);
    if (body[end] !== value % CHECK_MODULUS) return count;
    below = value % BELOW_MODULUS;
    at = end + 1;
  }
  return lengths.length;
}

/** Joins layers, each followed by its check byte. */
export function putLayers(layers: readonly Uint8Array[]): Uint8Array {
  let below = 1;
  const parts: Uint8Array[] = [];
  for (const layer of layers) {
    const value = layerSum(layer, 0, layer.length, below);
    parts.push(layer, Uint8Array.of(value % CHECK_MODULUS));
    below = value % BELOW_MODULUS;
  }
  return join(...parts);
}

/** Runs what reads bytes; that they end too soon, or are others, becomes an error of the file. */
export function orBadFile<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Short) throw new BadFileError(`${what}: the data end too soon`);
    if (error instanceof Wrong) throw new BadFileError(`${what}: ${error.message}`);
    throw error;
  }
}

/** Runs what reads bytes; undefined where they are others or end too soon. */
export function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Short || error instanceof Wrong) return undefined;
    throw error;
  }
}
