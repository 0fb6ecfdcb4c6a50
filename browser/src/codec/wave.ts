/** Samples as a WAV file of 16 bits. */
import { join, latin } from "../format/bytes.js";
import type { Audio } from "./sound.js";

/** The header of a WAV file with so many bytes of samples. */
export function waveHeader(rate: number, channels: number, bytes: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(44));
  const put = (at: number, text: string): void => new Uint8Array(view.buffer).set(latin(text), at);
  put(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  put(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels * 2, true);
  view.setUint16(32, channels * 2, true);
  view.setUint16(34, 16, true);
  put(36, "data");
  view.setUint32(40, bytes, true);
  return new Uint8Array(view.buffer);
}

/** Interleaved 16-bit samples, those beyond full scale clipped. */
export function waveSamples(audio: Audio): Uint8Array {
  const length = audio[0]?.length ?? 0;
  const view = new DataView(new ArrayBuffer(2 * length * audio.length));
  audio.forEach((channel, c) => {
    for (let i = 0; i < length; i++) {
      const value = Math.round(Math.min(Math.max(channel[i]!, -1), 1) * 32768);
      view.setInt16(2 * (i * audio.length + c), Math.min(value, 32767), true);
    }
  });
  return new Uint8Array(view.buffer);
}

export function wave(audio: Audio, rate: number): Uint8Array {
  const samples = waveSamples(audio);
  return join(waveHeader(rate, audio.length, samples.length), samples);
}
