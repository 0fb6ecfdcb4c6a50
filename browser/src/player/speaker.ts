/** Sound that is made as it is heard: asked for a little ahead of the sound card's clock. */
import { addWorklet } from "./worklet.js";

/** Seconds that are held; so much more with each time that they were not enough; at most. */
const [HELD, MORE, MOST] = [0.04, 0.02, 0.5];
/** Seconds in which they were enough, after which they are fewer again. */
const CALM = 5;
/** Samples a turn of the older way, where there is no worklet. */
const TURN = 512;

/** Samples that wait to be played. The worklet has a copy of its text: it must need nothing else. */
class Queue {
  parts: Float32Array[] = [];
  at = 0;
  /** Samples that were played. */
  played = 0;
  /** Turns in which there were not enough. */
  short = 0;

  push(part: Float32Array): void {
    this.parts.push(part);
  }

  fill(out: Float32Array): void {
    let got = 0;
    while (got < out.length && this.parts.length) {
      const part = this.parts[0]!;
      const some = part.subarray(this.at, this.at + out.length - got);
      out.set(some, got);
      got += some.length;
      this.at += some.length;
      if (this.at === part.length) {
        this.parts.shift();
        this.at = 0;
      }
    }
    this.played += got;
    if (got < out.length) this.short++;
  }
}

const WORKLET = `const Queue = ${Queue.toString()};
registerProcessor("played", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = new Queue();
    this.turns = 0;
    this.port.onmessage = ({ data }) => this.queue.push(data);
  }
  process(_, [[out]]) {
    this.queue.fill(out);
    if (++this.turns % 2 === 0) this.port.postMessage([this.queue.played, this.queue.short]);
    return true;
  }
});`;

export class Speaker {
  /** Times that sound was due and not there. */
  underruns = 0;
  private given = 0;
  private calmAt = 0;
  private held = HELD;
  private put: (part: Float32Array) => void = () => undefined;

  private constructor(
    readonly context: AudioContext,
    private readonly turn: (wanted: number) => void,
  ) {}

  /** Opens the speaker; `turn` is told some 100 times a second how many samples are wanted. */
  static async open(rate: number, turn: (wanted: number) => void): Promise<Speaker> {
    const context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    const speaker = new Speaker(context, turn);
    try {
      await context.resume();
      await speaker.connect();
    } catch (error) {
      await context.close();
      throw error;
    }
    return speaker;
  }

  /** Seconds between a sample's being given and its being heard. */
  get latency(): number {
    return this.held + (this.context.outputLatency || this.context.baseLatency || 0);
  }

  /** Takes samples, which are the speaker's from then on. */
  push(samples: Float32Array): void {
    this.given += samples.length;
    this.put(samples);
  }

  async close(): Promise<void> {
    await this.context.close();
  }

  private async connect(): Promise<void> {
    const { context } = this;
    try {
      await addWorklet(context, WORKLET);
      const node = new AudioWorkletNode(context, "played", {
        numberOfInputs: 0, outputChannelCount: [1],
      });
      node.port.onmessage = ({ data: [played, short] }: MessageEvent<[number, number]>) =>
        this.told(played, short);
      this.put = (part) => node.port.postMessage(part, [part.buffer as ArrayBuffer]);
      node.connect(context.destination);
    } catch {
      const node = context.createScriptProcessor(TURN, 1, 1);
      const queue = new Queue();
      this.held = Math.max(this.held, (2 * TURN) / context.sampleRate);
      node.onaudioprocess = ({ outputBuffer }) => {
        queue.fill(outputBuffer.getChannelData(0));
        this.told(queue.played, queue.short);
      };
      this.put = (part) => queue.push(part);
      node.connect(context.destination);
    }
  }

  private told(played: number, short: number): void {
    const { currentTime } = this.context;
    const dry = played > 0 && short > this.underruns;
    if (dry || currentTime - this.calmAt > CALM) {
      this.held = dry ? Math.min(this.held + MORE, MOST) : Math.max(this.held - MORE, HELD);
      this.calmAt = currentTime;
    }
    this.underruns = short;
    const wanted = Math.round(this.held * this.context.sampleRate) - (this.given - played);
    this.turn(Math.max(wanted, 0));
  }
}
