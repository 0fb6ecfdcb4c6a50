/** The header of a link: what was coded, by which model, from which source. */
import {
  crc32, equal, HEADER_TAIL, join, MAGIC, putUint, startsWith, SYNC, uint32, VERSION,
} from "./bytes.js";
import { BadFileError, LimitError, UnsupportedVersionError } from "./errors.js";
import * as limits from "./limits.js";
import { Float, packValue, unpackMap, type Value } from "./msgpack.js";

export const READER_VERSION = 1;
export const PREFIX_SIZE = 9;
const PREDICTED = 1;

/** What a reader must know before the first packet; rates in Hz. */
export interface Header {
  model: string;
  modelHash: Uint8Array;
  sampleRate: number;
  hop: number;
  streams: number;
  codebookSizes: number[];
  packetFrames: number;
  prerollFrames: number;
  postrollFrames: number;
  blockFrames: number;
  sourceRate: number;
  sourceChannels: number;
  channelMask: number | undefined;
  sourceSamples: number | undefined;
  /** Source sample at which playback begins. */
  start: number;
  /** Source sample at which playback of a cut file ends. */
  end: number | undefined;
  firstFrame: number;
  /** Length and stride in samples, of models that code segments. */
  segment: [number, number] | undefined;
  gainDb: number;
  /** Payload kind of each layer; empty: all 0. */
  kinds: number[];
  /** Names the tables that predict layers of kind 1. */
  tables: Uint8Array | undefined;
  peeled: boolean;
  tags: [string, string][];
  extra: Map<string, Value>;
}

type Check = (value: Value, name: string) => unknown;

const isCount = (value: Value | undefined): value is number =>
  typeof value === "number" && value >= 0;

function wrong(name: string, rule: string): never {
  throw new BadFileError(`the header is wrong: ${name} must be ${rule}`);
}

function whole(least: number, most: number): Check {
  return (value, name) => {
    if (typeof value !== "number" || value < least) {
      wrong(name, `a whole number from ${least} to ${most}`);
    }
    if (value > most) throw new LimitError(`${name} is ${value}; at most ${most}`);
    return value;
  };
}

const optional = (check: Check): Check => (value, name) =>
  value === null ? undefined : check(value, name);

const text: Check = (value, name) => {
  const count = typeof value === "string" ? [...value].length : 0;
  return count >= 1 && count <= 255 ? value : wrong(name, "text of 1 to 255 characters");
};

const hash: Check = (value, name) =>
  value instanceof Uint8Array && value.length === 32 ? value : wrong(name, "32 bytes");

const tables: Check = (value, name) =>
  value instanceof Uint8Array && value.length === 16 ? value : wrong(name, "16 bytes");

const segment: Check = (value, name) => {
  if (value === null) return undefined;
  if (!Array.isArray(value) || value.length !== 2 || !value.every(isCount)) {
    wrong(name, "length and stride");
  }
  const [length, stride] = value as [number, number];
  if (stride < 1 || stride > length) wrong(name, "length and stride, 0 < stride <= length");
  return [whole(1, limits.MAX_COUNT)(length, "the segment's length"), stride];
};

const gain: Check = (value, name) => {
  const number = value instanceof Float ? value.value : value;
  const fits = typeof number === "number" && Math.abs(number) <= 1000;
  return fits ? number : wrong(name, "a number within +-1000");
};

const flag: Check = (value, name) =>
  typeof value === "boolean" ? value : wrong(name, "true or false");

const runs: Check = (value, name) => {
  if (!Array.isArray(value) || value.length % 2 || !value.every(isCount)) {
    throw new BadFileError(`the header's ${name} are not pairs of count and value`);
  }
  const numbers = value as number[];
  const total = numbers.reduce((sum, n, i) => (i % 2 ? sum : sum + n), 0);
  if (total > limits.MAX_CODEBOOKS) {
    throw new LimitError(`${total} codebooks; at most ${limits.MAX_CODEBOOKS}`);
  }
  const out: number[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    for (let n = 0; n < numbers[i]!; n++) out.push(numbers[i + 1]!);
  }
  return out;
};

const tags: Check = (value) => {
  if (!Array.isArray(value) || value.length % 2) {
    throw new BadFileError("the header's tags are not pairs of key and value");
  }
  const out: [string, string][] = [];
  for (let i = 0; i < value.length; i += 2) {
    const [key, content] = [value[i], value[i + 1]];
    if (typeof key !== "string" || typeof content !== "string") wrong("a tag", "a pair of texts");
    if (!/^[ -<>-}]+$/.test(key)) wrong(`tag key ${JSON.stringify(key)}`, "ASCII without '='");
    out.push([key, content]);
  }
  return out;
};

const count = whole(0, limits.MAX_COUNT);

/** Keys in the order in which they are written: field, what it must be, what its absence means. */
const FIELDS: readonly (readonly [string, keyof Header, Check, unknown?])[] = [
  ["m", "model", text],
  ["h", "modelHash", hash],
  ["r", "sampleRate", whole(1, limits.MAX_RATE)],
  ["p", "hop", whole(1, limits.MAX_HOP)],
  ["s", "streams", whole(1, limits.MAX_STREAMS)],
  ["c", "codebookSizes", runs],
  ["f", "packetFrames", whole(1, limits.MAX_PACKET_FRAMES)],
  ["q", "prerollFrames", count],
  ["Q", "postrollFrames", count, 0],
  ["b", "blockFrames", whole(1, limits.MAX_COUNT)],
  ["R", "sourceRate", whole(1, limits.MAX_RATE)],
  ["C", "sourceChannels", whole(1, limits.MAX_CHANNELS)],
  ["M", "channelMask", optional(whole(0, limits.MAX_CHANNEL_MASK)), undefined],
  ["N", "sourceSamples", optional(count), undefined],
  ["S", "start", count, 0],
  ["E", "end", optional(count), undefined],
  ["i", "firstFrame", count, 0],
  ["g", "segment", segment, undefined],
  ["G", "gainDb", gain, 0],
  ["k", "kinds", runs, []],
  ["e", "tables", optional(tables), undefined],
  ["F", "peeled", flag, false],
  ["t", "tags", tags, []],
];
const KEYS = new Map(FIELDS.map((field) => [field[0], field]));

/** The bits of a code of a codebook with `size` entries. */
export function bitsOf(size: number): number {
  return 32 - Math.clz32(size - 1);
}

function checkLayers(header: Header): void {
  const { codebookSizes: sizes, kinds } = header;
  if (!sizes.length) wrong("the number of codebooks", "at least 1");
  for (const size of sizes) whole(2, limits.MAX_CODEBOOK_SIZE)(size, "a codebook size");
  if (kinds.length && kinds.length !== sizes.length) wrong("kinds", "one for each codebook");
  const predicted = kinds.filter((kind) => kind === PREDICTED).length;
  if ((header.tables === undefined) !== (predicted === 0) || kinds.lastIndexOf(PREDICTED) >= predicted) {
    wrong("kinds", "such that predicted layers are the lowest, and have tables");
  }
  const bits = sizes.reduce((sum, size) => sum + bitsOf(size), 0);
  const most = Math.floor((bits * header.packetFrames * header.streams) / 8);
  const packet = most + 4 * sizes.length + 64;
  if (packet > limits.MAX_PACKET) {
    throw new LimitError(`packets of up to ${packet} bytes; at most ${limits.MAX_PACKET}`);
  }
}

function checkSpeakers(header: Header): void {
  let named = 0;
  for (let mask = header.channelMask ?? 0; mask; mask &= mask - 1) named++;
  if (named && named !== header.sourceChannels) {
    wrong("the channel mask", `of ${header.sourceChannels} speakers, one a channel, or 0`);
  }
}

function mustUnderstand(values: Map<string, Value>): void {
  const version = values.get("v") ?? 1;
  if (values.get("v") === null || !["number", "boolean"].includes(typeof version)
    || Number(version) > READER_VERSION) {
    throw new UnsupportedVersionError(
      `the file asks for a reader of version ${String(version)}; this one is ${READER_VERSION}`,
    );
  }
  const must = values.has("u") ? values.get("u") : [];
  if (!Array.isArray(must) || !must.every((key) => typeof key === "string")) {
    throw new BadFileError("the header's list of keys that must be understood is not a list");
  }
  for (const key of must as string[]) {
    if (!KEYS.has(key) && key !== "v" && key !== "u") {
      throw new UnsupportedVersionError(`the file needs "${key}", which this reader lacks`);
    }
  }
}

/** Takes out of the keys that must be understood the one that writes itself. */
function othersThatMustBe(header: Header): void {
  const must = header.extra.get("u") ?? [];
  if (!Array.isArray(must) || must[0] !== "e") {
    throw new BadFileError("the header's key 'e' must be the first to be understood");
  }
  header.extra.delete("u");
  if (must.length > 1) header.extra.set("u", must.slice(1));
}

/** Reads a header's map. */
export function headerFromMap(packed: Uint8Array): Header {
  const values = unpackMap(packed, "the header");
  mustUnderstand(values);
  const decoded = new Map<string, unknown>();
  for (const [key, field, check] of FIELDS) { // those that say what is there come first
    if (values.has(key) && (check === runs || check === tags)) {
      decoded.set(key, check(values.get(key)!, field));
    }
  }
  const header = { extra: new Map([...values].filter(([key]) => !KEYS.has(key))) } as Header;
  if (values.has("e")) othersThatMustBe(header);
  for (const field of FIELDS) {
    if (!values.has(field[0]) && field.length < 4) {
      throw new BadFileError(`the header lacks the key '${field[0]}'`);
    }
  }
  for (const [key, name, check, absent] of FIELDS) {
    const value = values.has(key)
      ? decoded.has(key) ? decoded.get(key) : check(values.get(key)!, name)
      : Array.isArray(absent) ? [] : absent;
    Object.assign(header, { [name]: value });
  }
  checkSpeakers(header);
  checkLayers(header);
  return header;
}

/** The size in bytes of a whole header, from its first nine. */
export function headerSize(prefix: Uint8Array): number {
  if (!prefix.length) throw new BadFileError("the file is empty");
  if (!startsWith(prefix, MAGIC)) {
    throw new BadFileError("not an ECDC file: it does not begin with 'ECDC'");
  }
  if (prefix.length < PREFIX_SIZE) throw new BadFileError("the file ends inside its header");
  if (prefix[4] !== VERSION) {
    throw new UnsupportedVersionError(`ECDC version ${prefix[4]}; this reader knows ${VERSION}`);
  }
  const length = uint32(prefix, 5);
  if (length > limits.MAX_HEADER) {
    throw new LimitError(`the header claims ${length} bytes; at most ${limits.MAX_HEADER}`);
  }
  return PREFIX_SIZE + length + 6;
}

/** Reads the header that stands at a place; returns it and its size. */
export function parseHeader(data: Uint8Array, at = 0): [Header, number] {
  const size = headerSize(data.subarray(at, at + PREFIX_SIZE));
  if (at + size > data.length) throw new BadFileError("the file ends inside its header");
  const body = data.subarray(at, at + size - 6);
  const tail = data.subarray(at + size - 6, at + size);
  if (!equal(tail, join(putUint(crc32(body), 4), HEADER_TAIL))) {
    if (changedLineEndings(data, at + size)) {
      throw new BadFileError("line endings were changed, as by a copy in text mode");
    }
    throw new BadFileError("the header is damaged: its CRC does not match");
  }
  return [headerFromMap(body.subarray(PREFIX_SIZE)), size];
}

function changedLineEndings(data: Uint8Array, end: number): boolean {
  if (data[end - 2] === 10 && data[end - 1] === SYNC[0]) return true;
  const after = data.subarray(end - 2, end + 64);
  return after.some((_, i) => startsWith(after, Uint8Array.of(13, 13, 10), i));
}

function packRuns(values: readonly number[]): number[] {
  const out: number[] = [];
  for (const value of values) {
    if (out.length && out[out.length - 1] === value) out[out.length - 2]!++;
    else out.push(1, value);
  }
  return out;
}

function packField(header: Header, name: keyof Header, absent: unknown): Value | undefined {
  const value = header[name];
  if (value === undefined || (absent !== undefined && value === absent && name !== "peeled")) {
    return undefined;
  }
  if (name === "kinds" && !header.kinds.length) return undefined;
  if (name === "tags") return header.tags.length ? header.tags.flat() : undefined;
  if (name === "codebookSizes" || name === "kinds") return packRuns(header[name]);
  return name === "gainDb" ? new Float(header.gainDb) : (value as Value);
}

/** A header's map alone, as msgpack. */
export function headerMap(header: Header): Uint8Array {
  const values = new Map<Value, Value>();
  for (const [key, name, , absent] of FIELDS) {
    const value = packField(header, name, absent);
    if (value !== undefined) values.set(key, value);
  }
  for (const [key, value] of header.extra) values.set(key, value);
  if (header.tables) values.set("u", ["e", ...((header.extra.get("u") ?? []) as Value[])]);
  return packValue(values);
}

/** A header as it stands in a file. */
export function putHeader(header: Header): Uint8Array {
  const packed = headerMap(header);
  const data = join(MAGIC, Uint8Array.of(VERSION), putUint(packed.length, 4), packed);
  return join(data, putUint(crc32(data), 4), HEADER_TAIL);
}

/** Bitrate in kbps of the first `codebooks` codebooks, without overhead. */
export function kbps(header: Header, codebooks = header.codebookSizes.length): number {
  const bits = header.codebookSizes.slice(0, codebooks).reduce((sum, n) => sum + bitsOf(n), 0);
  return (bits * header.streams * header.sampleRate) / header.hop / 1000;
}
