/** Msgpack as the format uses it, strictly; floats and extensions keep what they are. */
import { byteAt, type Cursor, join, putUint, Short, Wrong } from "./bytes.js";
import { BadFileError } from "./errors.js";

/** A float of the file: 3.0 is not the integer 3. */
export class Float {
  constructor(readonly value: number) {}
}

export class Extension {
  constructor(
    readonly type: number,
    readonly data: Uint8Array,
  ) {}
}

export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | Float
  | Extension
  | Value[]
  | Map<Value, Value>;

const MOST_DEEP = 1024;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function take(cursor: Cursor, size: number): Uint8Array {
  const part = cursor.data.subarray(cursor.at, cursor.at + size);
  if (part.length < size) throw new Short();
  cursor.at += size;
  return part;
}

function uint(cursor: Cursor, size: number): number {
  return take(cursor, size).reduce((value, byte) => value * 256 + byte, 0);
}

function int(cursor: Cursor, size: number): number {
  const value = uint(cursor, size);
  return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
}

function float(cursor: Cursor, size: number): Float {
  const part = take(cursor, size);
  const view = new DataView(part.buffer, part.byteOffset, size);
  return new Float(size === 4 ? view.getFloat32(0) : view.getFloat64(0));
}

function text(cursor: Cursor, size: number): string {
  const part = take(cursor, size);
  try {
    return utf8.decode(part);
  } catch {
    throw new Wrong("a text is not UTF-8");
  }
}

function extension(cursor: Cursor, size: number): Extension {
  return new Extension(int(cursor, 1), take(cursor, size));
}

function array(cursor: Cursor, count: number, depth: number): Value[] {
  const out: Value[] = [];
  for (let i = 0; i < count; i++) out.push(read(cursor, depth + 1));
  return out;
}

function map(cursor: Cursor, count: number, depth: number): Map<Value, Value> {
  const out = new Map<Value, Value>();
  for (let i = 0; i < count; i++) {
    const key = read(cursor, depth + 1);
    if (typeof key !== "string" && !(key instanceof Uint8Array)) {
      throw new Wrong("a map has a key that is no text");
    }
    if (out.has(key)) throw new Wrong("a key stands twice");
    out.set(key, read(cursor, depth + 1));
  }
  return out;
}

function read(cursor: Cursor, depth: number): Value {
  if (depth > MOST_DEEP) throw new Wrong("too deep");
  const kind = byteAt(cursor.data, cursor.at++);
  if (kind < 0x80) return kind;
  if (kind < 0x90) return map(cursor, kind & 15, depth);
  if (kind < 0xa0) return array(cursor, kind & 15, depth);
  if (kind < 0xc0) return text(cursor, kind & 31);
  if (kind >= 0xe0) return kind - 256;
  switch (kind) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: case 0xc5: case 0xc6: return take(cursor, uint(cursor, 1 << (kind - 0xc4)));
    case 0xc7: case 0xc8: case 0xc9: return extension(cursor, uint(cursor, 1 << (kind - 0xc7)));
    case 0xca: return float(cursor, 4);
    case 0xcb: return float(cursor, 8);
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return uint(cursor, 1 << (kind - 0xcc));
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: return int(cursor, 1 << (kind - 0xd0));
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension(cursor, 1 << (kind - 0xd4));
    case 0xd9: case 0xda: case 0xdb: return text(cursor, uint(cursor, 1 << (kind - 0xd9)));
    case 0xdc: case 0xdd: return array(cursor, uint(cursor, 2 << (kind - 0xdc)), depth);
    case 0xde: case 0xdf: return map(cursor, uint(cursor, 2 << (kind - 0xde)), depth);
    default: throw new Wrong(`a byte ${kind} that opens nothing`);
  }
}

/** Returns a map of text keys, each there once; `what` names it in errors. */
export function unpackMap(data: Uint8Array, what: string): Map<string, Value> {
  const cursor = { data, at: 0 };
  let value: Value;
  try {
    value = read(cursor, 0);
    if (cursor.at < data.length) throw new Wrong("more follows");
  } catch (error) {
    if (error instanceof Short || error instanceof Wrong) {
      throw new BadFileError(`${what} is not a msgpack map: ${error.message || "it is cut short"}`);
    }
    throw error;
  }
  if (!(value instanceof Map) || ![...value.keys()].every((key) => typeof key === "string")) {
    throw new BadFileError(`${what} is not a map of text keys`);
  }
  return value as Map<string, Value>;
}

function sized(size: number, short: [number, number], codes: readonly [number, number][]): Uint8Array {
  if (size < short[1]) return Uint8Array.of(short[0] | size);
  const [code, bytes] = codes.find(([, width]) => size < 2 ** (8 * width))!;
  return join(Uint8Array.of(code), putUint(size, bytes));
}

function packInteger(value: number): Uint8Array {
  if (value >= 0) return sized(value, [0, 128], [[0xcc, 1], [0xcd, 2], [0xce, 4], [0xcf, 8]]);
  if (value >= -32) return Uint8Array.of(256 + value);
  const size = [1, 2, 4, 8].find((bytes) => value >= -(2 ** (8 * bytes - 1)))!;
  return join(Uint8Array.of(0xd0 + Math.log2(size)), putUint(2 ** (8 * size) + value, size));
}

/** Packs a value in its shortest form. */
export function packValue(value: Value): Uint8Array {
  if (value === null) return Uint8Array.of(0xc0);
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xc3 : 0xc2);
  if (typeof value === "number") return packInteger(value);
  if (typeof value === "string") {
    const data = new TextEncoder().encode(value);
    return join(sized(data.length, [0xa0, 32], [[0xd9, 1], [0xda, 2], [0xdb, 4]]), data);
  }
  if (value instanceof Uint8Array) {
    return join(sized(value.length, [0, 0], [[0xc4, 1], [0xc5, 2], [0xc6, 4]]), value);
  }
  if (value instanceof Float) {
    const view = new DataView(new ArrayBuffer(9));
    view.setUint8(0, 0xcb);
    view.setFloat64(1, value.value);
    return new Uint8Array(view.buffer);
  }
  if (value instanceof Extension) {
    const { length } = value.data;
    const fixed = [1, 2, 4, 8, 16].indexOf(length);
    const head = fixed >= 0
      ? Uint8Array.of(0xd4 + fixed)
      : sized(length, [0, 0], [[0xc7, 1], [0xc8, 2], [0xc9, 4]]);
    return join(head, Uint8Array.of(value.type & 255), value.data);
  }
  if (Array.isArray(value)) {
    const head = sized(value.length, [0x90, 16], [[0xdc, 2], [0xdd, 4]]);
    return join(head, ...value.map(packValue));
  }
  const parts = [...value].flatMap(([key, item]) => [packValue(key), packValue(item)]);
  return join(sized(value.size, [0x80, 16], [[0xde, 2], [0xdf, 4]]), ...parts);
}
