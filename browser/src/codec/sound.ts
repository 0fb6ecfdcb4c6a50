/** A file as sound: its links on one timeline, and decoding from any place of it. */
import { ModelMismatchError, UnsupportedVersionError } from "../format/errors.js";
import { type Header } from "../format/header.js";
import { type Codings, CODINGS } from "../format/packets.js";
import { type Event, type LinkReader, openLinks } from "../format/reader.js";
import { type Outgoing, type SpectralModel } from "../model/spectral.js";
import { Concealer } from "./concealment.js";
import { Resampler } from "./resampler.js";

/** Samples of each channel, all of one length. */
export type Audio = Float32Array[];

/** A link of a file. Places are samples at the model's rate. */
export interface Track {
  reader: LinkReader;
  header: Header;
  events: Event[];
  /** Where playback begins and ends on the link's own timeline. */
  begin: number;
  end: number;
  /** Likewise in samples of the source. */
  sourceBegin: number;
  sourceEnd: number;
  /** Where the link begins in the file's sound. */
  offset: number;
}

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function trackOf(reader: LinkReader, offset: number): Track {
  const { header } = reader;
  const events: Event[] = [];
  for (let event; (event = reader.next()); ) events.push(event);
  const last = events.at(-1);
  const reached = last ? eventEnd(last) * header.hop : 0;
  const there = Math.floor((reached * header.sourceRate) / header.sampleRate);
  const total = reader.totalSamples;
  const sourceEnd = Math.max(Math.min(total ?? there, there), header.start);
  const toModel = (samples: number): number =>
    Math.ceil((samples * header.sampleRate) / header.sourceRate);
  const begin = toModel(header.start);
  const end = Math.max(total === undefined ? reached : toModel(sourceEnd), begin);
  return { reader, header, events, begin, end, sourceBegin: header.start, sourceEnd, offset };
}

function eventFirst(event: Event): number {
  return event.kind === "loss" ? event.firstFrame : event.head.firstFrame;
}

function eventEnd(event: Event): number {
  return eventFirst(event) + (event.kind === "loss" ? event.frames : event.head.frames);
}

/** Changes the number of channels: down by the mean, up from mono by copies. */
function mix(audio: Audio, channels: number): Audio {
  if (audio.length === channels) return audio;
  const length = audio[0]?.length ?? 0;
  if (channels === 1) {
    return [Float32Array.from({ length }, (_, i) =>
      audio.reduce((sum, channel) => sum + channel[i]!, 0) / audio.length)];
  }
  return Array.from({ length: channels }, (_, c) =>
    audio.length === 1 ? audio[0]! : audio[c] ?? new Float32Array(length));
}

/** Decodes the events of a link, from the one that has a frame on. */
class TrackDecoder {
  private readonly states: Outgoing[];
  private readonly concealer: Concealer;
  private frame = -1;
  private heardTo = 0;
  private lostTo = 0;

  constructor(
    private readonly model: SpectralModel,
    private readonly track: Track,
    private readonly codebooks: number,
  ) {
    const { header } = track;
    this.states = Array.from({ length: header.streams }, () => model.startDecoding());
    const rate = header.sampleRate / header.hop;
    const width = model.config.latent;
    this.concealer = new Concealer(() => model.silence, width, header.streams, rate);
  }

  /** Yields the samples of each stream, from the first sample of frame `first` of `run` on. */
  *run(from: number): Generator<Audio> {
    const { events } = this.track;
    for (let i = from; i < events.length; i++) yield* this.take(events[i]!);
    if (this.frame < 0) return;
    yield* this.bridge(this.lostTo, undefined);
    yield this.states.map((state) => this.model.endDecoding(state));
  }

  private *take(event: Event): Generator<Audio> {
    const first = eventFirst(event);
    if (this.frame < 0) this.frame = this.heardTo = first;
    if (event.kind === "loss") {
      this.lostTo = Math.max(this.lostTo, eventEnd(event));
      return;
    }
    const { reader, header } = this.track;
    const packet = reader.packetOf(event);
    const codes = packet.codes.slice(0, this.codebooks);
    const latents = codes.length
      ? Array.from({ length: header.streams }, (_, s) =>
          this.model.latentsOf(codes, s, packet.frames))
      : this.concealer.silent(packet.frames);
    yield* this.bridge(first, latents);
    yield this.feed(latents, packet.frames);
    this.concealer.heard(latents);
    this.heardTo = first + packet.frames;
  }

  /** Fills what is missing up to a frame, a packet's length at a time. */
  private *bridge(stop: number, behind: Audio | undefined): Generator<Audio> {
    const gap = stop - this.heardTo;
    while (this.frame < stop) {
      const count = Math.min(stop - this.frame, this.track.header.packetFrames);
      const latents = this.concealer.bridge(this.frame - this.heardTo, count, gap, behind);
      yield this.feed(latents, count);
    }
  }

  private feed(latents: Audio, frames: number): Audio {
    this.frame += frames;
    return latents.map((stream, s) => this.model.decode(stream, this.states[s]!));
  }
}

export class Sound {
  readonly tracks: Track[] = [];
  /** Of the first link: they hold for all of the file. */
  readonly channels: number;
  readonly rate: number;
  readonly sourceRate: number;
  /** Samples at the model's rate. */
  readonly length: number;

  /** Reads a whole file. Without `strict` damage is passed over, and noted in the tracks' readers. */
  constructor(data: Uint8Array, { strict = false, codings = CODINGS as Codings } = {}) {
    let offset = 0;
    for (const reader of openLinks(data, !strict, codings)) {
      const track = trackOf(reader, offset);
      this.tracks.push(track);
      offset += track.end - track.begin;
    }
    const { header } = this.tracks[0]!;
    this.channels = header.sourceChannels;
    this.rate = header.sampleRate;
    this.sourceRate = header.sourceRate;
    this.length = offset;
  }

  /** Codebooks of the link that has most. */
  get codebooks(): number {
    return Math.max(...this.tracks.map(({ reader }) => reader.layout.readable));
  }

  get damaged(): boolean {
    return this.tracks.some(({ reader }) =>
      Object.entries(reader.losses).some(([name, count]) => name !== "gone" && count));
  }

  /** Raises an error unless a model can decode all of the file. */
  check(model: SpectralModel): void {
    for (const { header, reader } of this.tracks) {
      const { fingerprint, name } = model.about;
      const made = hex(header.modelHash);
      if (made !== fingerprint) {
        throw new ModelMismatchError(
          `made with model ${header.model} (${made.slice(0, 12)}); ` +
            `here is ${name} (${fingerprint.slice(0, 12)})`,
        );
      }
      if (reader.layout.missing) throw new UnsupportedVersionError(reader.layout.missing);
    }
  }

  /**
   * Yields the sound from a sample on, at the model's rate, in blocks of a packet or less: at most
   * `codebooks` codebooks, all if that is left out.
   */
  *stream(model: SpectralModel, from = 0, codebooks = this.codebooks): Generator<Audio> {
    this.check(model);
    for (const track of this.tracks) {
      if (from >= track.offset + track.end - track.begin) continue;
      const begin = Math.max(from - track.offset, 0) + track.begin;
      for (const audio of this.link(model, track, begin, track.end, codebooks)) {
        yield mix(audio, this.channels);
      }
    }
  }

  /** The whole sound at the source's rate, in pieces: exactly as long as the file says. */
  *decoded(model: SpectralModel, codebooks = this.codebooks): Generator<Audio> {
    this.check(model);
    for (const track of this.tracks) {
      for (const audio of this.resampled(model, track, codebooks)) yield mix(audio, this.channels);
    }
  }

  private *resampled(model: SpectralModel, track: Track, codebooks: number): Generator<Audio> {
    const { header } = track;
    const toOut = (samples: number): number =>
      Math.ceil((samples * this.sourceRate) / header.sourceRate);
    const [first, last] = [toOut(track.sourceBegin), toOut(track.sourceEnd)];
    const resamplers = Array.from({ length: header.sourceChannels }, () =>
      new Resampler(header.sampleRate, this.sourceRate));
    // From a place that is a sample of both rates, with room for the filter before and after.
    const same = header.sampleRate === this.sourceRate;
    const second = Math.max(Math.floor(track.begin / header.sampleRate) - 1, 0);
    const origin = same ? track.begin : second * header.sampleRate;
    let at = same ? first : second * this.sourceRate;
    const cut = (audio: Audio): Audio => {
      const from = Math.max(first - at, 0);
      const to = Math.max(last - at, 0);
      at += audio[0]?.length ?? 0;
      return audio.map((channel) => channel.subarray(from, to));
    };
    for (const audio of this.link(model, track, origin, track.end, codebooks)) {
      yield cut(audio.map((channel, c) => resamplers[c]!.push(channel)));
    }
    yield cut(resamplers.map((resampler) => resampler.finish()));
    const short = Math.max(last - Math.max(at, first), 0);
    if (short) yield resamplers.map(() => new Float32Array(short));
  }

  /** Yields the samples of a link's channels between two places on its own timeline. */
  private *link(
    model: SpectralModel, track: Track, begin: number, end: number, codebooks: number,
  ): Generator<Audio> {
    const { header, events } = track;
    const wanted = Math.floor(begin / header.hop) - header.prerollFrames;
    const index = Math.max(events.findIndex((event) => eventEnd(event) > wanted), 0);
    const decoder = new TrackDecoder(model, track, codebooks);
    const gain = Math.fround(10 ** (header.gainDb / 20));
    let at = events.length ? eventFirst(events[index]!) * header.hop : begin;
    if (at > begin) {
      yield this.silent(header, Math.min(at, end) - begin);
    }
    for (const streams of decoder.run(index)) {
      const length = streams[0]!.length;
      const from = Math.max(begin - at, 0);
      const to = Math.min(end - at, length);
      at += length;
      if (to > from) {
        const channels = streams.slice(0, header.sourceChannels);
        yield channels.map((stream) => scaled(stream.subarray(from, to), gain));
      }
      if (at >= end) return;
    }
  }

  private silent(header: Header, length: number): Audio {
    return Array.from({ length: header.sourceChannels }, () => new Float32Array(length));
  }
}

function scaled(samples: Float32Array, gain: number): Float32Array {
  return gain === 1 ? samples : samples.map((sample) => sample * gain);
}
