/** Samples to an .ecdc file, as they come. */
import { join } from "../format/bytes.js";
import { DIGEST_SIZE, Index, putEnd, putFooter } from "../format/ending.js";
import { ArgumentError } from "../format/errors.js";
import { type Header, putHeader } from "../format/header.js";
import { type Head, PacketLayout } from "../format/packets.js";
import { Sha256 } from "../format/sha256.js";
import { type Incoming, type SpectralModel } from "../model/spectral.js";

/** A copy of the header is written where the packets are at least so many times as long. */
const HEADER_SHARE = 512;
const MAX_HEADER_COPY = 65536;

export interface RecorderOptions {
  codebooks?: number;
  channels?: number;
  tags?: [string, string][];
}

/** Takes samples at the model's rate and gives a file of packets of a second. */
export class Recorder {
  readonly header: Header;
  /** Samples taken so far. */
  samples = 0;
  private readonly states: Incoming[];
  private readonly layout: PacketLayout;
  private readonly index: Index;
  private readonly digests: Sha256[];
  private readonly parts: Uint8Array[];
  private waiting: Float32Array[];
  private packets = 0;
  private frames = 0;

  constructor(
    private readonly model: SpectralModel,
    { codebooks = 8, channels = 1, tags = [] }: RecorderOptions = {},
  ) {
    const { config, about } = model;
    if (!(Number.isInteger(codebooks) && codebooks >= 1 && codebooks <= config.codebooks)) {
      throw new ArgumentError(`${codebooks} codebooks: must be 1 to ${config.codebooks}`);
    }
    const frames = Math.max(Math.round(config.sample_rate / config.hop), 1);
    const bytes = about.fingerprint.match(/../g)!.map((byte) => Number.parseInt(byte, 16));
    this.header = {
      model: about.name, modelHash: Uint8Array.from(bytes), sampleRate: config.sample_rate,
      hop: config.hop, streams: channels,
      codebookSizes: Array.from({ length: codebooks }, () => config.cardinality),
      packetFrames: frames, prerollFrames: model.prerollFrames,
      postrollFrames: model.postrollFrames, blockFrames: frames, sourceRate: config.sample_rate,
      sourceChannels: channels, channelMask: undefined, sourceSamples: undefined, start: 0,
      end: undefined, firstFrame: 0, segment: undefined, gainDb: 0, kinds: [], tables: undefined, peeled: false,
      tags, extra: new Map(),
    };
    this.states = Array.from({ length: channels }, () => model.startEncoding());
    this.layout = new PacketLayout(this.header);
    this.index = new Index(Math.ceil(config.sample_rate / config.hop));
    this.digests = this.header.codebookSizes.map(() => new Sha256());
    this.parts = [putHeader(this.header)];
    this.index.headerSize = this.parts[0]!.length;
    this.waiting = Array.from({ length: channels }, () => new Float32Array(0));
  }

  /** Takes samples of each channel. */
  push(audio: readonly Float32Array[]): void {
    const taken = audio[0]?.length ?? 0;
    if (audio.length !== this.waiting.length || audio.some(({ length }) => length !== taken)) {
      throw new ArgumentError(`samples: must be of ${this.waiting.length} channels of one length`);
    }
    this.samples += taken;
    this.waiting = this.waiting.map((before, c) => {
      const joined = new Float32Array(before.length + taken);
      joined.set(before);
      joined.set(audio[c]!, before.length);
      return joined;
    });
    const block = this.header.packetFrames * this.header.hop;
    let at = 0;
    for (; at + block <= this.waiting[0]!.length; at += block) this.encode(at, at + block);
    this.waiting = this.waiting.map((channel) => channel.slice(at));
  }

  /** Ends the recording; returns the file. */
  finish(): Uint8Array {
    const { hop } = this.header;
    const left = this.waiting[0]!.length;
    if (left) {
      const whole = Math.ceil(left / hop) * hop;
      this.waiting = this.waiting.map((channel) => {
        const padded = new Float32Array(whole);
        padded.set(channel);
        return padded;
      });
      this.encode(0, whole);
    }
    const end = putEnd(
      {
        sourceSamples: this.samples,
        packets: this.packets,
        endFrame: this.frames,
        digests: this.digests.map((digest) => digest.digest().subarray(0, DIGEST_SIZE)),
      },
      this.wantsCopy ? this.header : undefined,
    );
    const tail = join(end, this.index.toPacket());
    return join(...this.parts, tail, putFooter(tail.length));
  }

  private get wantsCopy(): boolean {
    const { codebookSizes } = this.header;
    const least = codebookSizes.length > 1
      ? { ...this.header, codebookSizes: codebookSizes.slice(0, 1), peeled: true }
      : this.header;
    const size = putHeader(least).length;
    return size <= MAX_HEADER_COPY && HEADER_SHARE * size <= this.index.area;
  }

  private encode(from: number, to: number): void {
    const { header, model } = this;
    const frames = (to - from) / header.hop;
    const layers = header.codebookSizes.map(() => new Uint16Array(frames * header.streams));
    this.waiting.forEach((channel, s) => {
      const codes = model.encode(channel.subarray(from, to), layers.length, this.states[s]!);
      codes.forEach((codes, k) => layers[k]!.set(codes, s * frames));
    });
    const data = this.layout.putPacket(this.packets, layers);
    this.note(this.layout.getHead(data, 0), data);
    this.packets++;
    this.frames += frames;
  }

  private note(head: Head, data: Uint8Array): void {
    this.index.add(head.firstFrame, this.index.area);
    this.index.area += data.length;
    this.parts.push(data);
    let end = head.size;
    this.digests.forEach((digest, k) => {
      end += head.lengths[k]! + 1;
      digest.update(data.subarray(0, end));
    });
  }
}
