/** Both directions of a call, without channels, devices or clocks: as `ncodec.net.call` has them. */
import { ModelMismatchError, NcodecError } from "../format/errors.js";
import type { SpectralModel } from "../model/spectral.js";
import { Listener } from "./listener.js";
import { type Hello, getMessage, isControl, type Message, putMessage } from "./messages.js";
import { RateControl } from "./rate.js";
import { getRtp } from "./rtp.js";
import { Talker } from "./talker.js";

const PACKET_FRAMES = 3;
/** Seconds between hellos, before and after the other side has answered, and between reports. */
const [HELLO_SECONDS, AGAIN_SECONDS, REPORT_SECONDS] = [0.25, 5, 1];
/** Seconds without a word after which the other side is taken for gone. */
const GONE_SECONDS = 10;

/** A datagram, and when it came, in seconds. */
export type Came = [Uint8Array, number];

/** Shares of the packets that were due, and seconds. */
export interface CallState {
  connected: boolean;
  /** The other side has said good-bye. */
  left: boolean;
  reason: string;
  seconds: number;
  lost: number;
  late: number;
  recovered: number;
  concealed: number;
  buffer: number;
  /** From mouth to ear, without devices; none while the way there and back is not known. */
  delay: number | undefined;
  codebooks: number;
  copies: number;
}

export class Call {
  private readonly rate: RateControl;
  private readonly talker: Talker;
  private listener: Listener | undefined;
  private peer: number | undefined;
  private theirs: { sent: number; at: number } | undefined;
  private roundTrip: number | undefined;
  private greeted = false;
  private helloAt = Number.NEGATIVE_INFINITY;
  private reportAt = Number.NEGATIVE_INFINITY;
  private heardAt: number | undefined;
  private left = false;
  private reason = "";
  private out: Uint8Array[] = [];

  /** `talks` is false where nothing will ever be said here. */
  constructor(
    private readonly model: SpectralModel,
    private readonly talks: boolean,
    codebooks = 8,
  ) {
    this.rate = new RateControl(Math.min(codebooks, model.config.codebooks));
    this.talker = new Talker(model, this.rate, PACKET_FRAMES);
  }

  /**
   * Takes datagrams that came and samples that were said; returns datagrams to send, and at least
   * `wanted` samples to play from `now` on.
   */
  turn(came: Came[], said: Float32Array, wanted: number, now: number): [Uint8Array[], Float32Array] {
    for (const [data, at] of came) this.take(data, at);
    this.saySome(now);
    if (this.listener && this.talks) this.out.push(...this.talker.push(said));
    const played: Float32Array[] = [];
    let got = 0;
    while (got < wanted) {
      const next = this.listener?.pull(now + got / this.model.config.sample_rate)
        ?? new Float32Array(wanted);
      played.push(next);
      got += next.length;
    }
    const audio = new Float32Array(got);
    played.reduce((at, part) => (audio.set(part, at), at + part.length), 0);
    const out = this.out;
    this.out = [];
    return [out, audio];
  }

  /** Good-bye, more than once, since it may be lost. */
  leave(): Uint8Array[] {
    return [0, 1, 2].map(() => putMessage(this.talker.ssrc, { kind: "bye", reason: "" }));
  }

  get state(): CallState {
    const { listener, rate, roundTrip, left, reason } = this;
    const { whole, copies, missing, late } = listener?.buffer.counts
      ?? { whole: 0, copies: 0, missing: 0, late: 0 };
    const due = Math.max(whole + copies + missing, 1);
    const { hop, sample_rate } = this.model.config;
    const ahead = ((PACKET_FRAMES + this.model.postrollFrames) * hop) / sample_rate;
    const buffer = listener?.buffer.held ?? 0;
    return {
      connected: listener !== undefined, left, reason, seconds: listener?.played ?? 0,
      lost: missing / due, late: late / due, recovered: copies / due,
      concealed: (listener?.concealed ?? 0) / due, buffer,
      delay: roundTrip === undefined ? undefined : ahead + buffer + roundTrip / 2,
      codebooks: rate.codebooks, copies: rate.copies,
    };
  }

  private say(message: Message): void {
    this.out.push(putMessage(this.talker.ssrc, message));
  }

  /** Says what is due. */
  private saySome(now: number): void {
    if (now - this.helloAt >= (this.greeted ? AGAIN_SECONDS : HELLO_SECONDS)) {
      this.helloAt = now;
      this.say(this.talker.hello);
    }
    if (!this.listener) return;
    if (now - this.reportAt >= REPORT_SECONDS) {
      this.reportAt = now;
      const { theirs } = this;
      this.say({
        kind: "told", ...this.listener.report(), sent: Math.round(now * 1000),
        echo: theirs?.sent ?? 0, kept: theirs ? Math.round((now - theirs.at) * 1000) : 0,
      });
      if (!this.talks) this.say({ kind: "ended", reason: "" });
    }
    if (this.heardAt !== undefined && now - this.heardAt > GONE_SECONDS && !this.left) {
      this.left = true;
      this.reason = `nothing came from the other side for ${GONE_SECONDS} s`;
    }
  }

  private take(data: Uint8Array, at: number): void {
    try {
      if (isControl(data)) this.hear(...getMessage(data), at);
      else {
        const rtp = getRtp(data);
        if (rtp.ssrc !== this.peer) return;
        this.heardAt = at;
        this.listener?.receive(rtp, at);
      }
    } catch (error) {
      if (error instanceof ModelMismatchError || !(error instanceof NcodecError)) throw error;
    }
  }

  private hear(ssrc: number, message: Message, at: number): void {
    if (message.kind === "hello") {
      if (ssrc !== this.peer) {
        this.reportAt = at; // before, there is nothing to report
        this.meet(ssrc, message);
      }
    } else if (ssrc !== this.peer) return;
    else if (message.kind === "told") {
      this.greeted = true;
      this.rate.take(message.lost, message.late);
      this.theirs = { sent: message.sent, at };
      const there = Math.round(at * 1000) - message.echo - message.kept;
      if (message.echo && there >= 0 && there < GONE_SECONDS * 1000) {
        this.roundTrip = Math.min(this.roundTrip ?? there / 1000, there / 1000);
      }
    } else if (message.kind === "bye") {
      this.left = true;
      this.reason = message.reason;
    }
    this.heardAt = at;
  }

  private meet(ssrc: number, hello: Hello): void {
    const { about, config } = this.model;
    if (hello.hash !== about.fingerprint) {
      throw new ModelMismatchError(
        `the other side codes with model ${hello.model} (${hello.hash.slice(0, 12)}); ` +
          `here is ${about.name} (${about.fingerprint.slice(0, 12)})`,
      );
    }
    if (hello.frames > 8 || hello.layers > config.codebooks || hello.hop !== config.hop) return;
    this.peer = ssrc;
    this.greeted = this.left = false;
    this.reason = "";
    this.listener = new Listener(this.model, hello);
  }
}
