/** Finding packets in bytes, and finding them again after damage. */
import {
  countGoodLayers, crc32, FOOTER_MAGIC, FOOTER_SIZE, join, LINK_START, orNothing, putUint, Short,
  startsWith, SYNC, uint32, Wrong,
} from "./bytes.js";
import { Index } from "./ending.js";
import { BadFileError, DamageError, NcodecError } from "./errors.js";
import { headerSize, parseHeader, PREFIX_SIZE } from "./header.js";
import { MAX_PACKET } from "./limits.js";
import { CODES, END, getOther, type Head, INDEX, type PacketLayout } from "./packets.js";

export const SKIPPED = -1;

/** A packet as it stands, or bytes that are none (SKIPPED); cut short where `data` is below `size`. */
export interface Element {
  kind: number;
  offset: number;
  data: Uint8Array;
  size: number;
  head: Head | undefined;
  /** Bytes of the head. */
  begin: number;
  /** Layers of a packet of codes that agree with their checks. */
  good: number;
}

/** The payload of a packet that has no codes; undefined if it is damaged. */
export function payloadOf(element: Element): Uint8Array | undefined {
  const { data, begin, size } = element;
  if (data.length !== size || size < begin + 4) return undefined;
  const body = data.subarray(begin, -4);
  return uint32(data, data.length - 4) === crc32(body) ? body : undefined;
}

/** Bytes, and how far they have been read. */
export interface Source {
  readonly data: Uint8Array;
  at: number;
}

/** Tells whether another link follows; raises DamageError if something else does. */
export function atLink(source: Source): boolean {
  if (source.at >= source.data.length) return false;
  if (!startsWith(source.data, LINK_START, source.at)) {
    throw new DamageError(`what follows the link at byte ${source.at} is no link`);
  }
  return true;
}

/** Tells whether a sound header stands at a place. */
export function isHeader(data: Uint8Array, at: number): boolean {
  try {
    parseHeader(data, at);
    return true;
  } catch (error) {
    if (error instanceof NcodecError) return false;
    throw error;
  }
}

/** Cuts what follows a header into elements. */
export class Scanner {
  private readonly area: number;
  private end: number;
  private noLinkBefore = 0;
  private spent = 0;

  /** Begins at the end of the header that began at `begin`. */
  constructor(
    private readonly source: Source,
    private readonly layout: PacketLayout,
    private readonly begin: number,
  ) {
    this.area = this.end = source.at;
  }

  /** The next element; undefined at the end of the file or where another link begins. */
  next(): Element | undefined {
    if (this.source.at >= this.source.data.length) return undefined;
    return this.packet() ?? (this.atSoundLink() ? undefined : this.skip());
  }

  /** Passes over index and footer, which follow the end packet; returns what is wrong there. */
  passTail(): string | undefined {
    const { source } = this;
    const { data } = source;
    if (!startsWith(data, join(SYNC, Uint8Array.of(INDEX)), source.at)) return undefined;
    const element = this.next();
    if (!startsWith(data, FOOTER_MAGIC, source.at)) return "the index has no footer";
    const length = source.at + FOOTER_SIZE - this.end;
    const footer = data.subarray(source.at, source.at + FOOTER_SIZE);
    source.at += footer.length;
    let index: Index;
    try {
      index = Index.parse((element && payloadOf(element)) ?? new Uint8Array(0));
    } catch (error) {
      if (error instanceof BadFileError) return error.message;
      throw error;
    }
    if (index.area !== this.end - this.area || index.headerSize !== this.area - this.begin) {
      return "the index is of another link";
    }
    const due = join(FOOTER_MAGIC, putUint(length, 4));
    return footer.length === FOOTER_SIZE && startsWith(footer, due) ? undefined : "the footer is damaged";
  }

  private packet(): Element | undefined {
    const { source } = this;
    const sizes = this.measure(source.at);
    if (!sizes) return undefined;
    const [head, begin, size] = sizes;
    const offset = source.at;
    const kind = source.data[offset + 2]! & 15;
    const whole = offset + size <= source.data.length;
    // Checking costs as much as a packet claims to be long. Heads inside heads may not make that
    // more than a multiple of the bytes there are.
    const afford = this.spent <= 16 * (offset + MAX_PACKET);
    let good = 0;
    let sound = false;
    if (whole && afford) {
      const body = source.data.subarray(offset + begin, offset + size);
      if (head) {
        good = countGoodLayers(body, head.lengths);
        sound = good === head.lengths.length;
      } else {
        sound = uint32(body, body.length - 4) === crc32(body.subarray(0, -4));
      }
    }
    const length = sound ? size : this.upToNext(size);
    this.spent += size - length;
    const data = source.data.subarray(offset, offset + length);
    source.at += data.length;
    if (head && !sound) good = countGoodLayers(data.subarray(begin), head.lengths);
    if (kind === END) this.end = offset;
    return { kind, offset, data, size, head, begin, good };
  }

  /** Head, its size and the packet's size, if a sound head stands at a place. */
  private measure(at: number): [Head | undefined, number, number] | undefined {
    const { data } = this.source;
    return orNothing(() => {
      if (at + 1 >= data.length) throw new Short();
      if (!startsWith(data, SYNC, at)) throw new Wrong("no sync word");
      if (at + 2 >= data.length) throw new Short();
      if ((data[at + 2]! & 15) !== CODES) {
        const [begin, length] = getOther(data, at);
        return [undefined, begin, begin + length + 4];
      }
      const head = this.layout.getHead(data, at);
      return [head, head.size, head.size + head.bodySize];
    });
  }

  /** The bytes up to a packet that begins inside this one: some bytes were lost. */
  private upToNext(size: number): number {
    const { data, at } = this.source;
    const end = Math.min(at + size, data.length);
    for (let next = at; ; ) {
      next = data.indexOf(SYNC[0]!, next + 1);
      if (next < 0 || next >= end) return end - at;
      if (this.measure(next)) return next - at;
    }
  }

  private atSoundLink(): boolean {
    const { data, at } = this.source;
    if (!startsWith(data, LINK_START, at) || at < this.noLinkBefore) return false;
    if (isHeader(data, at)) return true;
    try {
      // Bounds the work that a file full of false beginnings can ask for.
      this.noLinkBefore = at + Math.floor(headerSize(data.subarray(at, at + PREFIX_SIZE)) / 16);
    } catch (error) {
      if (!(error instanceof NcodecError)) throw error;
    }
    return false;
  }

  private skip(): Element {
    const { source } = this;
    const offset = source.at++;
    for (; source.at < source.data.length; source.at++) {
      const byte = source.data[source.at];
      if (byte === SYNC[0] ? this.measure(source.at) : byte === LINK_START[0] && this.atSoundLink()) {
        break;
      }
    }
    const size = source.at - offset;
    return { kind: SKIPPED, offset, data: new Uint8Array(0), size, head: undefined, begin: 0, good: 0 };
  }
}
