/** A call of this page: a line, the speaker, the microphone, and the codec in its worker. */
import type { Came, CallState } from "../net/call.js";
import type { Codec } from "./codec.js";
import { Line } from "./line.js";
import { Microphone } from "./microphone.js";
import { Speaker } from "./speaker.js";

/** Seconds in which the last words leave. */
const LINGER = 0.2;
/** Seconds of the microphone that are said at once; what waits longer than `LATE` no longer is. */
const [PART, LATE] = [0.02, 1];

/** What the page hears of its call. */
export interface Events {
  /** Sound begins, or `muted` says why nothing is said here. */
  connected(muted: string): void;
  /** Some five times a second. */
  state(state: CallState): void;
  /** It is over; `why` is empty where this side hung up. */
  ended(why: string): void;
}

export class Session {
  readonly line = new Line();
  private speaker: Speaker | undefined;
  private microphone: Microphone | undefined;
  private id = 0;
  private muted = "";
  private came: Came[] = [];
  private said: Float32Array[] = [];
  private busy = false;
  private connected = false;
  private toldAt = 0;
  private over = false;

  private constructor(
    private readonly codec: Codec,
    private readonly rate: number,
    private readonly events: Events,
  ) {
    this.line.onmessage = (data, at) => this.came.push([data, at]);
    this.line.onlost = () => this.end("the other side can no longer be reached");
  }

  /** Opens the devices; without a microphone the call is listened to. From a gesture of the user's. */
  static async open(codec: Codec, rate: number, talks: boolean, events: Events): Promise<Session> {
    const session = new Session(codec, rate, events);
    try {
      session.speaker = await Speaker.open(rate, (wanted) => void session.turn(wanted));
      if (talks) await session.listenHere();
      await codec.ready;
      session.id = await codec.call("call", session.microphone !== undefined);
    } catch (error) {
      session.end("");
      throw error;
    }
    return session;
  }

  /** Hangs up. */
  leave(): void {
    this.end("");
  }

  private async listenHere(): Promise<void> {
    try {
      const take = (part: Float32Array): void => void this.said.push(part);
      this.microphone = await Microphone.open(this.rate, take, { echoCancellation: true });
    } catch (error) {
      this.muted = (error as Error).message;
    }
  }

  /** Lets the codec take what came and was said, and give what is wanted. */
  private async turn(wanted: number): Promise<void> {
    const waiting = this.said.reduce((sum, { length }) => sum + length, 0) / this.rate;
    if (!this.line.open || waiting > LATE) this.said = []; // nothing is said to nobody
    if (!this.id || this.busy || this.over || !this.line.open) return;
    if (!wanted && waiting < PART && !this.came.length) return;
    this.busy = true;
    const [came, said] = [this.came, joined(this.said)];
    [this.came, this.said] = [[], []];
    try {
      const now = performance.now() / 1000;
      const [out, audio, state] = await this.codec.call("turn", this.id, came, said, wanted, now);
      for (const data of out) this.line.send(data);
      if (this.over) return;
      if (audio.length) this.speaker!.push(audio);
      this.tell(state, now);
    } catch (error) {
      this.end((error as Error).message);
    }
    this.busy = false;
  }

  private tell(state: CallState, now: number): void {
    if (state.connected && !this.connected) {
      this.connected = true;
      this.events.connected(this.muted);
    }
    if (now - this.toldAt > 0.2) {
      this.toldAt = now;
      const { delay } = state;
      this.events.state({ ...state, delay: delay && delay + this.speaker!.latency });
    }
    if (state.left) this.end(state.reason || "the other side has hung up");
  }

  private end(why: string): void {
    if (this.over) return;
    this.over = true;
    void this.close();
    this.events.ended(why);
  }

  private async close(): Promise<void> {
    const [id, microphone, speaker] = [this.id, this.microphone, this.speaker];
    if (id) for (const data of await this.codec.call("leave", id)) this.line.send(data);
    await Promise.allSettled([microphone?.close(), speaker?.close()]);
    setTimeout(() => this.line.close(), 1000 * LINGER);
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
}
