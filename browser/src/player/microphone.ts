/** Samples of the microphone at the model's rate. */
import { addWorklet } from "./worklet.js";

const WORKLET = `registerProcessor("taken", class extends AudioWorkletProcessor {
  process([input]) {
    if (input[0]) this.port.postMessage(input[0].slice());
    return true;
  }
});`;

export class Microphone {
  private constructor(
    private readonly context: AudioContext,
    private readonly media: MediaStream,
  ) {}

  /**
   * Opens the microphone; `take` gets its samples, clipped to full scale. Where others are heard
   * meanwhile, the browser can take their echo away.
   */
  static async open(
    rate: number, take: (samples: Float32Array) => void, { echoCancellation = false } = {},
  ): Promise<Microphone> {
    const media = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation, noiseSuppression: false, autoGainControl: false, channelCount: 1 },
    });
    const context = new AudioContext({ sampleRate: rate });
    const clipped = (samples: Float32Array): void =>
      take(samples.map((sample) => Math.min(Math.max(sample, -1), 1)));
    try {
      await context.resume();
      const source = context.createMediaStreamSource(media);
      try {
        await addWorklet(context, WORKLET);
        const node = new AudioWorkletNode(context, "taken", {
          numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
        });
        node.port.onmessage = ({ data }: MessageEvent<Float32Array>) => clipped(data);
        source.connect(node);
      } catch {
        const node = context.createScriptProcessor(1024, 1, 1);
        node.onaudioprocess = ({ inputBuffer }) => clipped(inputBuffer.getChannelData(0));
        source.connect(node).connect(context.destination);
      }
    } catch (error) {
      for (const track of media.getTracks()) track.stop();
      await context.close();
      throw error;
    }
    return new Microphone(context, media);
  }

  async close(): Promise<void> {
    for (const track of this.media.getTracks()) track.stop();
    await this.context.close();
  }
}
