/** What is heard where packets are lost: the sound around the gap, continued into it, and silence. */
const FADE_SECONDS = 0.2;

/** Latents of a frame for each stream. */
type Frame = readonly Float32Array[];

/** Remembers the last latent of each stream, and fills gaps with what may have been there. */
export class Concealer {
  private readonly fade: number;
  private last: Frame;

  constructor(
    /** The model's own silence, asked for when it is needed: it takes the encoder. */
    private readonly silence: () => Float32Array,
    private readonly width: number,
    private readonly streams: number,
    frameRate: number,
  ) {
    this.fade = FADE_SECONDS * frameRate;
    this.last = [];
  }

  /** Takes note of latents [frames, D] of each stream that were received. */
  heard(latents: Frame): void {
    this.last = latents.map((stream) => stream.slice(stream.length - this.width));
  }

  /**
   * Latents for `count` frames from frame `begin` of a gap of `gap` frames; `behind` is what was
   * received next, if that is known.
   */
  bridge(begin: number, count: number, gap: number, behind: Frame | undefined): Float32Array[] {
    const silent = this.silence();
    const { width } = this;
    return Array.from({ length: this.streams }, (_, s) => {
      const last = this.last[s] ?? silent;
      const out = new Float32Array(count * width);
      for (let frame = 0; frame < count; frame++) {
        const place = begin + frame;
        const share = behind ? 0.5 - 0.5 * Math.cos((Math.PI * (place + 1)) / (gap + 1)) : 0;
        const right = behind ? this.level(gap - 1 - place) : 0;
        const weight = Math.max(this.level(place), right);
        for (let i = 0; i < width; i++) {
          const next = behind ? behind[s]![i]! : 0;
          const line = (1 - share) * last[i]! + share * next;
          out[frame * width + i] = weight * line + (1 - weight) * silent[i]!;
        }
      }
      return out;
    });
  }

  /** Latents of silence that was meant. */
  silent(frames: number): Float32Array[] {
    const silent = this.silence();
    return Array.from({ length: this.streams }, () => {
      const out = new Float32Array(frames * silent.length);
      for (let frame = 0; frame < frames; frame++) out.set(silent, frame * silent.length);
      return out;
    });
  }

  /** 1 beside what was received, falling to 0 along a cosine. */
  private level(distance: number): number {
    return 0.5 + 0.5 * Math.cos(Math.PI * Math.min(distance / this.fade, 1));
  }
}
