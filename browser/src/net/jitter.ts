/** The jitter buffer: packets in as they come, one for each step of a clock out, or what is missing. */
import type { Codes } from "./rtp.js";

const QUANTILE = 0.97;
/** Seconds of arrivals that are looked back on, and how many of them. */
const [BACK, MOST] = [10, 400];
/** Seconds of lateness that are expected while few packets have come. */
const EXPECTED = 0.06;
const ENOUGH = 16;
/** Seconds before and behind the fastest at which a packet's time is impossible. */
const [AHEAD, BEHIND] = [0.1, 2];
/** So many impossible ones in a row are believed: a sender, or this page, that slept. */
const AGREE = 10;
const SMOOTHING = 1;

export class JitterBuffer {
  /** The number that is taken next. */
  next: number | undefined;
  started = false;
  /** The last that came said silence: what is missing then is no loss. */
  silent = true;
  counts = { whole: 0, copies: 0, missing: 0, late: 0 };
  private items = new Map<number, { codes: Codes; own: boolean }>();
  private arrivals: { at: number; transit: number }[] = [];
  private fastest = Number.POSITIVE_INFINITY;
  private wait = 0;
  private copied = 1;
  private outside = 0;
  private smoothed = 0;
  private smoothedAt = 0;
  private fresh: number[] = [];

  /** `length` is how many seconds a packet lasts. */
  constructor(private readonly length: number) {}

  /** Takes a packet's own codes and its copies, which came at `at` seconds. */
  put(number: number, codes: Codes, copies: readonly Codes[], at: number): void {
    const transit = at - number * this.length;
    const late = transit - this.fastest;
    if (Number.isFinite(late) && (late < -AHEAD || late > BEHIND)) {
      if (++this.outside < AGREE) return;
      this.restart();
    }
    this.outside = 0;
    this.next ??= number;
    this.see(transit, at);
    this.copied += ((copies.length ? 1 : 0) - this.copied) / 16;
    if (number < this.next) this.counts.late++;
    else if (!this.items.get(number)?.own) this.items.set(number, { codes, own: true });
    copies.forEach((copy, i) => {
      const place = number - copies.length + i;
      const before = this.items.get(place)?.codes.length ?? -1;
      if (place >= this.next! && copy.length > before) this.items.set(place, { codes: copy, own: false });
    });
  }

  /** Seconds that should be held beyond the fastest packet's time. */
  get target(): number {
    return this.wait + (this.copied > 0.5 ? this.length : 0);
  }

  get held(): number {
    return this.smoothed;
  }

  /** Seconds until the first packet is due; none before anything came. */
  due(now: number): number | undefined {
    if (this.next === undefined || this.started) return this.next === undefined ? undefined : 0;
    return this.target - this.holding(now);
  }

  /** Takes the next number: its codes, or nothing. */
  take(now: number): Codes | undefined {
    const held = this.holding(now);
    const share = this.started ? 1 - Math.exp(-Math.max(now - this.smoothedAt, 0) / SMOOTHING) : 1;
    this.smoothed += share * (held - this.smoothed);
    this.smoothedAt = now;
    this.started = true;
    const item = this.items.get(this.next!);
    this.items.delete(this.next!);
    this.next!++;
    if (item) {
      this.silent = item.codes.length === 0;
      this.counts[item.own ? "whole" : "copies"]++;
    } else if (!this.silent) this.counts.missing++;
    return item?.codes;
  }

  /** Seconds by which what is next would be heard too late. */
  behind(now: number): number {
    return this.started ? this.holding(now) - this.target : 0;
  }

  /** Passes over so many numbers. */
  skip(count: number): void {
    for (let i = 0; i < count; i++) this.items.delete(this.next! + i);
    this.next! += count;
    this.counts.missing += count;
    this.smoothed -= count * this.length;
  }

  /** Tells that the sound was shortened by so many seconds. */
  correct(seconds: number): void {
    this.smoothed -= seconds;
  }

  /** The median lateness of what came since this was asked last. */
  typicalLateness(): number {
    const sorted = this.fresh.sort((a, b) => a - b);
    this.fresh = [];
    return sorted[sorted.length >> 1] ?? 0;
  }

  private holding(now: number): number {
    return now - this.fastest - this.next! * this.length;
  }

  private see(transit: number, at: number): void {
    this.arrivals.push({ at, transit });
    while (this.arrivals.length > MOST || at - this.arrivals[0]!.at > BACK) this.arrivals.shift();
    this.fastest = this.arrivals.reduce((least, one) => Math.min(least, one.transit), transit);
    this.fresh.push(transit - this.fastest);
    const late = this.arrivals.map((one) => one.transit - this.fastest).sort((a, b) => a - b);
    const asked = late[Math.min(Math.floor(QUANTILE * late.length), late.length - 1)]!;
    this.wait = late.length < ENOUGH ? Math.max(asked, EXPECTED) : asked;
  }

  private restart(): void {
    this.items.clear();
    this.arrivals = [];
    this.next = undefined;
    this.started = false;
    this.fastest = Number.POSITIVE_INFINITY;
  }
}
