/** Playing a sound: decoded a little ahead, put on the clock of the sound card piece by piece. */
import type { Codec } from "./codec.js";
import type { Summary } from "./engine.js";

/** Seconds that are decoded ahead. */
const AHEAD = 3;
/** Seconds of the first pieces: a short one first, so that the sound begins soon. */
const PIECES = [0.4, 0.6, 0.8];
const SOON = 0.05;
const FADE = 0.01;
/** Seconds ahead of what is heard at which another number of codebooks takes over. */
const CHANGE = 0.2;

interface Piece {
  time: number;
  seconds: number;
  /** Place of its first sample, in samples. */
  at: number;
}

/** A run of pieces on the clock, from one start to a seek, a pause or a change of codebooks. */
class Voice {
  readonly gain: GainNode;
  readonly pieces: Piece[] = [];
  private readonly nodes = new Set<AudioBufferSourceNode>();
  count = 0;
  ended = false;

  constructor(
    readonly context: AudioContext,
    public next: number,
    readonly codebooks: number,
  ) {
    this.gain = context.createGain();
    this.gain.connect(context.destination);
  }

  get until(): number {
    const last = this.pieces.at(-1);
    return last ? last.time + last.seconds : 0;
  }

  put(audio: Float32Array[], rate: number, time: number, at: number): void {
    const buffer = this.context.createBuffer(audio.length, audio[0]!.length, rate);
    audio.forEach((channel, c) => buffer.getChannelData(c).set(channel));
    const node = this.context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.gain);
    node.start(time);
    this.nodes.add(node);
    node.onended = () => {
      this.nodes.delete(node);
      node.disconnect();
    };
    this.pieces.push({ time, seconds: buffer.duration, at });
    while (this.pieces.length > 16) this.pieces.shift();
  }

  /** Fades out, or in, at a time. */
  fade(time: number, to: 0 | 1): void {
    this.gain.gain.setValueAtTime(1 - to, time);
    this.gain.gain.linearRampToValueAtTime(to, time + FADE);
    if (to) return;
    this.ended = true;
    for (const node of this.nodes) node.stop(time + FADE);
  }
}

export class Playback {
  private static context: AudioContext | undefined;
  private static playing: Playback | undefined;
  /** Times that sound was due and not there. */
  underruns = 0;
  /** `performance.now()` when the first piece was put on the clock. */
  firstSound = 0;
  loop: [number, number] | undefined;
  private voice: Voice | undefined;
  private rest = 0;
  private held: number;
  private turn = 0;

  constructor(
    private readonly codec: Codec,
    private readonly id: number,
    private readonly summary: Summary,
    private readonly changed: () => void,
    private readonly failed: (error: Error) => void,
  ) {
    this.held = summary.codebooks;
  }

  get playing(): boolean {
    return this.voice !== undefined;
  }

  /** Enough is decoded ahead that other work may have its turn. */
  get easy(): boolean {
    const { voice } = this;
    return !voice || voice.ended || voice.until - voice.context.currentTime > AHEAD / 2;
  }

  /** What is heard now, in samples of the model's rate. */
  get position(): number {
    return this.voice ? this.at(this.voice, this.voice.context.currentTime) : this.rest;
  }

  get codebooks(): number {
    return this.held;
  }

  set codebooks(count: number) {
    if (count === this.held) return;
    this.held = count;
    const { voice } = this;
    if (voice) {
      const time = Math.min(voice.context.currentTime + CHANGE, voice.until);
      this.start(Math.round(this.at(voice, time)), time);
    }
  }

  async play(): Promise<void> {
    if (this.voice) return;
    Playback.playing?.pause();
    Playback.playing = this;
    Playback.context ??= new AudioContext({ sampleRate: this.summary.rate });
    await Playback.context.resume();
    if (this.rest >= this.summary.length) this.rest = 0;
    this.start(this.rest);
    this.changed();
  }

  pause(): void {
    this.rest = Math.min(Math.round(this.position), this.summary.length);
    this.stop();
  }

  seek(sample: number): void {
    this.rest = Math.min(Math.max(Math.round(sample), 0), this.summary.length);
    if (this.voice) this.start(this.rest);
    this.changed();
  }

  private stop(): void {
    this.turn++;
    this.voice?.fade(this.voice.context.currentTime, 0);
    this.voice = undefined;
    if (Playback.playing === this) Playback.playing = undefined;
    this.changed();
  }

  private at(voice: Voice, time: number): number {
    const { pieces } = voice;
    const piece = pieces.findLast((one) => one.time <= time) ?? pieces[0];
    if (!piece) return this.rest;
    const since = Math.min(Math.max(time - piece.time, 0), piece.seconds);
    return piece.at + since * this.summary.rate;
  }

  /** Begins a voice at a place; `due` is when that place would be heard, if another voice runs. */
  private start(at: number, due?: number): void {
    const context = Playback.context!;
    const turn = ++this.turn;
    const before = this.voice;
    const voice = new Voice(context, at, this.held);
    if (due === undefined && before) before.fade(context.currentTime, 0);
    this.voice = due === undefined || !before ? voice : before;
    this.fill(voice, turn, before, due).catch((error: unknown) => {
      this.stop();
      this.failed(error as Error);
    });
  }

  private async fill(
    voice: Voice, turn: number, before: Voice | undefined, due: number | undefined,
  ): Promise<void> {
    const { rate, length } = this.summary;
    const { context } = voice;
    while (this.turn === turn) {
      if (voice.until - context.currentTime > AHEAD) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      const stop = this.loop && voice.next < this.loop[1] ? this.loop[1] : length;
      const seconds = PIECES[voice.count] ?? 1;
      const count = Math.min(Math.round(seconds * rate), stop - voice.next);
      const audio = count > 0
        ? await this.codec.call("read", this.id, voice.next, count, voice.codebooks)
        : [];
      if (this.turn !== turn) return;
      const got = audio[0]?.length ?? 0;
      if (got) this.schedule(voice, audio, before, due);
      if (got < count || voice.next >= stop) {
        if (!this.loop) return this.end(voice, turn);
        if (!got && this.loop[0] >= length) return this.end(voice, turn);
        voice.next = this.loop[0];
      }
    }
  }

  private schedule(
    voice: Voice, audio: Float32Array[], before: Voice | undefined, due: number | undefined,
  ): void {
    const { rate } = this.summary;
    const { context } = voice;
    const soon = context.currentTime + SOON;
    let at = voice.next;
    voice.next += audio[0]!.length;
    let time = voice.until;
    if (voice.count === 0) {
      time = due ?? soon;
      if (before && time < soon && before.until > soon) {
        // Decoded too late for that place: what the voice before has played is left out.
        const late = Math.round((soon - time) * rate);
        if (late >= audio[0]!.length) return;
        audio = audio.map((channel) => channel.subarray(late));
        at += late;
      } else if (due !== undefined && time < context.currentTime) this.underruns++;
      time = Math.max(time, soon);
      if (before && due !== undefined && !before.ended) before.fade(time, 0);
      if (before) voice.fade(time, 1);
      this.voice = voice;
      this.firstSound ||= performance.now();
    } else if (time < context.currentTime) {
      this.underruns++;
      time = soon;
    }
    voice.count++;
    voice.put(audio, rate, Math.round(time * rate) / rate, at);
    this.changed();
  }

  private async end(voice: Voice, turn: number): Promise<void> {
    while (voice.context.currentTime < voice.until) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (this.turn !== turn) return;
    }
    this.rest = this.summary.length;
    this.stop();
  }
}
