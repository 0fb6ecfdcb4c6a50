/** Reading .ecdc files, front to back: order, gaps, damage and totals of each link. */
import {
  countGoodLayers, equal, join, orNothing, startsWith, SYNC,
} from "./bytes.js";
import { type End, DIGEST_SIZE, findHeader, findTails, parseEnd, type Tail } from "./ending.js";
import { BadFileError, DamageError, LimitError, NcodecError } from "./errors.js";
import { type Header, parseHeader, putHeader } from "./header.js";
import * as limits from "./limits.js";
import {
  CODES, type Codings, CODINGS, END, GAP, getGap, type Head, type Loss, type Packet, PacketLayout,
  REDUNDANCY,
} from "./packets.js";
import { atLink, type Element, payloadOf, Scanner, SKIPPED, type Source } from "./scanner.js";
import { Sha256 } from "./sha256.js";

/** What a reader had to do without. */
export interface Losses {
  /** Frames for which nothing was found. */
  frames: number;
  /** Packets with damage, of which some or no layers could be used. */
  packets: number;
  /** Layers lost in packets of which lower layers could be used. */
  layers: number;
  /** Packets that came twice or out of order, and were passed over. */
  late: number;
  /** Packets replaced by copies of their lowest layers. */
  recovered: number;
  /** Bytes that belong to nothing. */
  skipped: number;
  /** The link ends without its end packet. */
  truncated: boolean;
  /** Totals or digest of the end packet are not those of what was read. */
  mismatch: boolean;
  /** The header was damaged; its copy at the end was used. */
  header: boolean;
  /** Frames that a repaired file says it has lost before. */
  gone: number;
}

/** A packet of codes in its place, with the number of its layers that are good. */
export interface Coded {
  kind: "coded";
  head: Head;
  data: Uint8Array;
  good: number;
}

export type Event = Coded | Loss;

/** The sound of one link: what is on its timeline, in order and without overlaps. */
export class LinkReader {
  readonly header: Header;
  readonly layout: PacketLayout;
  readonly losses: Losses = {
    frames: 0, packets: 0, layers: 0, late: 0, recovered: 0, skipped: 0,
    truncated: false, mismatch: false, header: false, gone: 0,
  };
  /** The first hundred faults that were passed over, in words. */
  readonly problems: string[] = [];
  /** Packets of codes met so far. */
  packets = 0;
  /** The frame at which the next packet should begin. */
  expected: number;
  private readonly scanner: Scanner;
  private readonly most: number;
  private readonly queue: Event[] = [];
  private readonly digest = new Sha256();
  private readonly area: number;
  private found: End | undefined;
  private whole = true;
  private reason = "missing";
  private done = false;

  constructor(
    private readonly source: Source,
    private readonly tails: () => Map<number, Tail>,
    private readonly keepGoing: boolean,
    codings: Codings,
  ) {
    const begin = source.at;
    let fault = "";
    try {
      const [header, size] = parseHeader(source.data, begin);
      this.header = header;
      source.at += size;
    } catch (error) {
      const copy = keepGoing && error instanceof NcodecError && findHeader(source.data, begin);
      if (!copy) throw error;
      fault = (error as NcodecError).message;
      this.header = copy;
      source.at = begin + putHeader(copy).length;
      if (!startsWith(source.data, SYNC, source.at)) source.at = begin;
    }
    this.area = source.at;
    this.layout = new PacketLayout(this.header, codings);
    this.scanner = new Scanner(source, this.layout, begin);
    this.expected = this.header.firstFrame;
    this.most = mostFrames(this.header);
    if (fault) {
      this.losses.header = true;
      this.note(`${fault}; another copy of it was used`);
    }
  }

  /** The link's totals, also before they are reached. */
  get end(): End | undefined {
    if (this.found) return this.found;
    const tail = this.tails().get(this.area);
    if (!tail) return undefined;
    try {
      return parseEnd(tail.endPayload, this.layout.layers);
    } catch (error) {
      if (error instanceof NcodecError) return undefined;
      throw error;
    }
  }

  /** Where the source ends on its timeline, in samples at its rate; undefined while unknown. */
  get totalSamples(): number | undefined {
    return this.end?.sourceSamples ?? this.header.end ?? this.header.sourceSamples;
  }

  /** What comes next; undefined at the end of the link. */
  next(): Event | undefined {
    while (!this.queue.length) {
      if (this.done) return undefined;
      this.advance();
    }
    return this.queue.shift();
  }

  /** The codes of a packet. */
  packetOf(event: Coded): Packet {
    const { head, data, good } = event;
    return this.layout.getPacket(head, data.subarray(head.size), good);
  }

  /** Passes the rest of the link, its index and footer; tells whether a link follows. */
  nextLink(): boolean {
    this.queue.length = 0;
    while (!this.done) {
      const element = this.scanner.next();
      this.done = !element || element.kind === END;
    }
    const wrong = this.scanner.passTail();
    if (wrong !== undefined) this.note(wrong);
    try {
      return atLink(this.source);
    } catch (error) {
      if (!this.keepGoing || !(error instanceof DamageError)) throw error;
      this.note(error.message);
    }
    for (let element; (element = this.scanner.next()); ) this.losses.skipped += element.size;
    return this.source.at < this.source.data.length;
  }

  private advance(): void {
    const element = this.scanner.next();
    if (this.whole && element && element.kind !== END) this.digest.update(element.data);
    if (!element) this.finish(undefined);
    else if (element.kind === CODES) this.takeCodes(element);
    else if (element.kind === SKIPPED) {
      this.losses.skipped += element.size;
      const where = `${element.size} bytes at byte ${element.offset}`;
      this.fault(`${where} belong to no packet`);
    } else this.takeOther(element);
  }

  private takeOther(element: Element): void {
    const payload = payloadOf(element);
    if (!payload) {
      this.losses.packets++;
      this.fault(`a packet at byte ${element.offset} is damaged`);
      if (element.kind === END) this.finish(undefined);
    } else if (element.kind === END) this.finish(payload);
    else if (element.kind === GAP) this.takeGap(payload);
    else if (element.kind === REDUNDANCY) this.takeCopies(payload);
  }

  private takeCodes(element: Element): void {
    const head = element.head!;
    if (head.firstFrame < this.expected) {
      this.losses.late++;
      this.fault(`packet ${head.sequence} is repeated or out of order`);
      return;
    }
    this.packets++;
    const good = this.layout.countGood(head, element.data.subarray(head.size), element.good);
    const lost = head.lengths.length - good;
    if (lost) {
      this.losses.packets++;
      const scale = this.layout.scaleFault(head);
      const where = `packet ${head.sequence} at byte ${element.offset}`;
      this.fault(scale ? `${where}: its ${scale}` : `${where} is damaged from codebook ${good + 1} on`);
      if (good === 0) {
        this.reason = "damaged";
        return;
      }
      this.losses.layers += lost;
    }
    this.closeGap(head.firstFrame, head.frames);
    this.queue.push({ kind: "coded", head, data: element.data, good });
  }

  private takeCopies(payload: Uint8Array): void {
    for (let at = 0; at < payload.length; ) {
      const copy = orNothing(() =>
        this.layout.getHead(join(SYNC, payload.subarray(at, at + 512)), 0),
      );
      if (!copy) return;
      const end = at - SYNC.length + copy.size + copy.bodySize;
      const data = join(SYNC, payload.subarray(at, end));
      at = end;
      if (copy.firstFrame < this.expected) continue;
      const body = data.subarray(copy.size);
      if (countGoodLayers(body, copy.lengths) < copy.lengths.length) return;
      const good = this.layout.countGood(copy, body, copy.lengths.length);
      if (good === 0) continue;
      this.losses.recovered++;
      this.fault(`packet ${copy.sequence} is missing; a copy replaces it`);
      this.closeGap(copy.firstFrame, copy.frames);
      this.queue.push({ kind: "coded", head: copy, data, good });
    }
  }

  private takeGap(payload: Uint8Array): void {
    let begin: number;
    let stop: number;
    try {
      [begin, stop] = getGap(payload);
    } catch (error) {
      if (!(error instanceof BadFileError)) throw error;
      this.fault(error.message);
      return;
    }
    if (begin < this.expected) {
      this.fault(`a gap from frame ${begin} on overlaps what is there`);
      return;
    }
    this.closeGap(begin, stop - begin);
    const reason = "gone before repair";
    this.queue.push({ kind: "loss", firstFrame: begin, frames: stop - begin, reason });
    this.losses.gone += stop - begin;
  }

  /** Accounts for the stretch up to a packet, and for the packet's own. */
  private closeGap(firstFrame: number, frames: number): void {
    const end = firstFrame + frames;
    if (end > this.most) throw new LimitError(`the timeline reaches frame ${end}, beyond the limit`);
    const missing = firstFrame - this.expected;
    if (missing > 0) {
      if (this.reason === "missing") {
        this.fault(`${missing} frames from frame ${this.expected} on are missing`);
      }
      const { expected, reason } = this;
      this.queue.push({ kind: "loss", firstFrame: expected, frames: missing, reason });
      this.losses.frames += missing;
    }
    this.reason = "missing";
    this.expected = end;
  }

  private finish(payload: Uint8Array | undefined): void {
    this.done = true;
    if (!payload) {
      this.losses.truncated = true;
      this.fault("the file is cut short: it has no end packet");
      return;
    }
    let end: End;
    try {
      end = this.found = parseEnd(payload, this.layout.layers);
    } catch (error) {
      if (!(error instanceof BadFileError)) throw error;
      this.losses.truncated = true;
      this.fault(error.message);
      return;
    }
    if (end.endFrame > this.expected) this.closeGap(end.endFrame, 0);
    else if (end.endFrame < this.expected) {
      this.losses.mismatch = true;
      this.fault(`codes reach frame ${this.expected}, the end packet says ${end.endFrame}`);
    }
    if (!this.whole) return;
    const digest = this.digest.digest().subarray(0, DIGEST_SIZE);
    if (end.packets !== this.packets || !equal(digest, end.digests.at(-1)!)) {
      this.losses.mismatch = true;
      this.fault("the packets are not those that the end packet's digest was taken of");
    }
  }

  private fault(text: string): void {
    if (!this.keepGoing) {
      this.done = true;
      throw new DamageError(text);
    }
    this.note(text);
  }

  private note(text: string): void {
    if (this.problems.length < 100) this.problems.push(text);
  }
}

function mostFrames(header: Header): number {
  const { segment, packetFrames, hop, sampleRate } = header;
  const samples = segment ? segment[1] : packetFrames * hop;
  return (Math.trunc((limits.MAX_SECONDS * sampleRate) / samples) + 1) * packetFrames;
}

/**
 * Yields a reader for each link of a file; what one leaves unread is passed over.
 *
 * With `keepGoing` faults are counted in `losses` and told in `problems`; without it the first one
 * raises.
 */
export function* openLinks(
  data: Uint8Array, keepGoing = false, codings: Codings = CODINGS,
): Generator<LinkReader> {
  const source: Source = { data, at: 0 };
  let tails: Map<number, Tail> | undefined;
  for (;;) {
    const reader = new LinkReader(source, () => (tails ??= findTails(data)), keepGoing, codings);
    yield reader;
    if (!reader.nextLink()) return;
  }
}

/** What was found in a link, in the terms of the conformance kit. */
export function describe(reader: LinkReader): Record<string, unknown> {
  const digest = new Sha256();
  const packets: number[][] = [];
  for (let event; (event = reader.next()); ) {
    if (event.kind === "loss") continue;
    const packet = reader.packetOf(event);
    packets.push([packet.firstFrame, packet.codes.length, packet.frames]);
    for (const layer of packet.codes) digest.update(new Uint8Array(layer.slice().buffer));
    if (packet.scale) digest.update(new Uint8Array(packet.scale.slice().buffer));
  }
  const losses = Object.entries(reader.losses).filter(([, count]) => count);
  return {
    codebook_sizes: reader.header.codebookSizes,
    streams: reader.header.streams,
    packets,
    codes_sha256: Array.from(digest.digest(), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    start: reader.header.start,
    end: reader.totalSamples ?? null,
    ...(losses.length ? { losses: Object.fromEntries(losses) } : {}),
  };
}

/** All that is found in a file, and the name of the error that ended the reading, if one did. */
export function survey(data: Uint8Array, keepGoing = false, codings = CODINGS): {
  links: Record<string, unknown>[];
  error: string | undefined;
} {
  const links: Record<string, unknown>[] = [];
  try {
    for (const reader of openLinks(data, keepGoing, codings)) links.push(describe(reader));
  } catch (error) {
    if (!(error instanceof NcodecError)) throw error;
    return { links, error: error.name };
  }
  return { links, error: undefined };
}
