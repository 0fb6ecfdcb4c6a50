/** What closes a link: totals with digests, an index, and a footer that finds both from the end. */
import {
  crc32, type Cursor, FOOTER_MAGIC, FOOTER_SIZE, getVarint, join, LINK_START, orBadFile, orNothing,
  putUint, putVarint, startsWith, SYNC, uint32, Wrong,
} from "./bytes.js";
import { BadFileError, NcodecError } from "./errors.js";
import { type Header, headerFromMap, headerMap } from "./header.js";
import * as limits from "./limits.js";
import { packValue, unpackMap, type Value } from "./msgpack.js";
import { END, getOther, INDEX, putOther } from "./packets.js";
import { isHeader } from "./scanner.js";

export const DIGEST_SIZE = 8;

/** Totals of a link. */
export interface End {
  /** Where the source ends on its timeline. */
  sourceSamples: number;
  packets: number;
  endFrame: number;
  digests: Uint8Array[];
}

/** Reads an end packet's payload. */
export function parseEnd(payload: Uint8Array, codebooks: number): End {
  const values = unpackMap(payload, "the end packet");
  const [sourceSamples, packets, endFrame] = ["n", "p", "f"].map((key) => {
    const value = values.get(key);
    if (typeof value !== "number" || value < 0 || value > limits.MAX_COUNT) {
      throw new BadFileError(`the end packet has ${String(value)} where a total should be`);
    }
    return value;
  }) as [number, number, number];
  const data = values.get("d");
  if (!(data instanceof Uint8Array) || data.length !== DIGEST_SIZE * codebooks) {
    throw new BadFileError(`the end packet does not have ${codebooks} digests`);
  }
  const digests = Array.from({ length: codebooks }, (_, k) =>
    data.subarray(DIGEST_SIZE * k, DIGEST_SIZE * (k + 1)),
  );
  return { sourceSamples, packets, endFrame, digests };
}

export function putEnd(end: End, copy: Header | undefined): Uint8Array {
  const values = new Map<Value, Value>([
    ["n", end.sourceSamples],
    ["p", end.packets],
    ["f", end.endFrame],
    ["d", join(...end.digests)],
  ]);
  if (copy) values.set("H", headerMap(copy));
  return putOther(END, packValue(values));
}

/** Points (frame, offset) of packets of codes, about one a second, never more than 4096. */
export class Index {
  points: [number, number][] = [];
  /** Bytes of all packets before the end packet. */
  area = 0;
  headerSize = 0;

  constructor(private spacing = 0) {}

  static parse(payload: Uint8Array): Index {
    const numbers: number[] = [];
    const cursor: Cursor = { data: payload, at: 0 };
    orBadFile("the index is damaged", () => {
      while (cursor.at < payload.length) numbers.push(getVarint(cursor, limits.MAX_COUNT));
    });
    const [area = 0, headerSize = 0, ...runs] = numbers;
    const points = runs.reduce((sum, n, i) => (i % 3 ? sum : sum + n), 0);
    if (numbers.length < 2 || runs.length % 3 || points > limits.MAX_POINTS) {
      throw new BadFileError("the index is damaged: its length is wrong");
    }
    const index = new Index();
    Object.assign(index, { area, headerSize });
    let frame = 0;
    let offset = 0;
    for (let at = 0; at < runs.length; at += 3) {
      for (let n = 0; n < runs[at]!; n++) {
        frame += runs[at + 1]!;
        offset += runs[at + 2]!;
        index.points.push([frame, offset]);
      }
    }
    if (offset > area) {
      throw new BadFileError("the index is damaged: it points beyond the packets");
    }
    return index;
  }

  /** Takes note of a packet of codes. */
  add(frame: number, offset: number): void {
    const last = this.points.at(-1);
    if (last && frame < last[0] + this.spacing) return;
    this.points.push([frame, offset]);
    if (this.points.length > limits.MAX_POINTS) {
      this.points = this.points.filter((_, i) => i % 2 === 0);
      this.spacing *= 2;
    }
  }

  toPacket(): Uint8Array {
    const runs: [number, number, number][] = [];
    let before: [number, number] = [0, 0];
    for (const point of this.points) {
      const frames = point[0] - before[0];
      const bytes = point[1] - before[1];
      before = point;
      const last = runs.at(-1);
      if (last && last[1] === frames && last[2] === bytes) last[0]++;
      else runs.push([1, frames, bytes]);
    }
    return putOther(INDEX, join(...[this.area, this.headerSize, ...runs.flat()].map(putVarint)));
  }
}

/** What closes a link, and where the link stands in the file. */
export interface Tail {
  endPayload: Uint8Array;
  /** Where the packets begin. */
  area: number;
  start: number;
}

function soundPayload(data: Uint8Array, at: number, kind: number): [Uint8Array, number] {
  const [begin, length] = getOther(data, at);
  const stop = at + begin + length + 4;
  const body = data.subarray(at + begin, at + begin + length);
  if (stop > data.length || uint32(data, stop - 4) !== crc32(body)) throw new Wrong("damaged");
  if (data[at + 2] !== kind) throw new Wrong("a packet of another type");
  return [body, stop];
}

function readTail(data: Uint8Array, stop: number): Tail | undefined {
  const footer = stop - FOOTER_SIZE;
  const size = uint32(data, footer + 4);
  const most = Math.min(2 * limits.MAX_PACKET, stop);
  if (!startsWith(data, FOOTER_MAGIC, footer) || size <= FOOTER_SIZE || size > most) return undefined;
  const begin = stop - size;
  const part = data.subarray(0, footer);
  return orNothing(() => {
    const [endPayload, after] = soundPayload(part, begin, END);
    const [payload, last] = soundPayload(part, after, INDEX);
    try {
      const index = Index.parse(payload);
      const area = begin - index.area;
      return last === footer ? { endPayload, area, start: area - index.headerSize } : undefined;
    } catch (error) {
      if (error instanceof NcodecError) return undefined;
      throw error;
    }
  });
}

/** The tails of a file's links, by where their packets begin, as far as they lead from the end. */
export function findTails(data: Uint8Array): Map<number, Tail> {
  const tails = new Map<number, Tail>();
  for (let stop = data.length; stop > FOOTER_SIZE; ) {
    const tail = readTail(data, stop);
    if (!tail || tail.start < 0 || tail.start >= stop) break;
    tails.set(tail.area, tail);
    stop = tail.start;
  }
  return tails;
}

/** Where the next end packet stops, and its payload; undefined if another link comes first. */
function findEnd(data: Uint8Array, from: number): [Uint8Array, number] | undefined {
  let spent = 0;
  for (let at = from; at < data.length; at++) {
    const byte = data[at];
    if (byte !== SYNC[0] && byte !== LINK_START[0]) continue;
    // False beginnings may not make the work more than a multiple of the bytes there are.
    if (spent > 16 * (at + limits.MAX_PACKET)) continue;
    if (startsWith(data, LINK_START, at)) {
      if (isHeader(data, at)) return undefined;
    } else if (startsWith(data, SYNC, at) && data[at + 2] === END) {
      const found = orNothing(() => soundPayload(data, at, END));
      if (found) return found;
    } else continue;
    spent += Math.min(data.length - at, limits.MAX_PACKET);
  }
  return undefined;
}

/**
 * Searches from a damaged header on for its copy. It must be of the link that begins there, and
 * agree with the end packet on the layers and with the index on the length.
 */
export function findHeader(data: Uint8Array, from: number): Header | undefined {
  const found = findEnd(data, from);
  if (!found) return undefined;
  const [payload, after] = found;
  try {
    const copy = unpackMap(payload, "the end packet").get("H");
    if (!(copy instanceof Uint8Array)) return undefined;
    const header = headerFromMap(copy);
    parseEnd(payload, header.codebookSizes.length);
    const index = orNothing(() => soundPayload(data, after, INDEX)[0]);
    const size = headerMap(header).length + 15;
    return index && Index.parse(index).headerSize !== size ? undefined : header;
  } catch (error) {
    if (error instanceof NcodecError) return undefined;
    throw error;
  }
}

export function putFooter(tailBytes: number): Uint8Array {
  return join(FOOTER_MAGIC, putUint(tailBytes + FOOTER_SIZE, 4));
}
