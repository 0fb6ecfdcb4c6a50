/* One AudioContext for the page, and decoded sounds kept once they were asked for. */
const audio = {
  context: null,
  buffers: new Map(),
  playing: null,
  open() {
    this.context ??= new AudioContext();
    this.context.resume();
    return this.context;
  },
  buffer(version) {
    if (!this.buffers.has(version)) {
      const bytes = Uint8Array.from(atob(version.sound), (c) => c.charCodeAt(0));
      this.buffers.set(version, this.open().decodeAudioData(bytes.buffer));
    }
    return this.buffers.get(version);
  },
};

const FADE = 0.008; // seconds: a switch must not click

/* Versions of one clip on one clock. Changing the version keeps the position, sounding or not. */
class Deck {
  constructor(duration, changed = () => {}) {
    this.duration = duration;
    this.changed = changed;
    this.version = null;
    this.source = null; // what sounds now
    this.start = 0; // position at which it started ...
    this.since = 0; // ... and the context's time then
    this.loop = true;
    this.range = [0, duration]; // what is looped
    this.wish = 0; // counts requests, so that a slow decoder cannot answer an old one
  }

  get sounding() { return this.source !== null; }

  position() {
    if (!this.sounding) return this.start;
    const at = this.start + Math.max(0, audio.context.currentTime - this.since);
    const [from, to] = this.range;
    if (this.loop && at >= to) return from + (at - to) % (to - from);
    return Math.min(at, this.duration);
  }

  async play(version = this.version, position = null) {
    const wish = ++this.wish;
    this.version = version;
    const buffer = await audio.buffer(version);
    if (wish !== this.wish) return;
    if (audio.playing && audio.playing !== this) audio.playing.pause();
    audio.playing = this;
    let at = position ?? this.position();
    if (at >= this.range[1] || at < this.range[0]) at = this.range[0];
    const context = audio.open();
    this.silence();
    const when = context.currentTime;
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setValueAtTime(0, when);
    gain.gain.linearRampToValueAtTime(1, when + FADE);
    const source = new AudioBufferSourceNode(context, {
      buffer, loop: this.loop, loopStart: this.range[0], loopEnd: this.range[1],
    });
    source.connect(gain).connect(context.destination);
    source.onended = () => {
      if (this.source?.node !== source) return;
      this.source = null;
      this.start = 0;
      this.changed();
    };
    source.start(when, at);
    this.source = { node: source, gain };
    this.start = at;
    this.since = when;
    this.changed();
  }

  /* Change the version: goes on sounding if it does, from the same place. */
  choose(version) {
    this.version = version;
    if (this.sounding) return this.play(version);
    this.changed();
  }

  /* A row to choose which part is looped: differences are heard in half a second, not in eight. */
  part() {
    const number = (value, label) => el("input", {
      type: "number", min: 0, max: this.duration.toFixed(1), step: 0.1, value, "aria-label": label,
    });
    const [from, to] = [number("0.0", "Loop from, seconds"), number(this.duration.toFixed(1), "Loop to, seconds")];
    const set = () => {
      const low = Math.min(Math.max(0, Number(from.value) || 0), this.duration - 0.1);
      const high = Math.min(this.duration, Math.max(low + 0.1, Number(to.value) || this.duration));
      this.range = [low, high];
      if (this.sounding) this.play(this.version, low);
      else this.start = low;
    };
    for (const input of [from, to]) input.addEventListener("change", set);
    return el("div", { class: "row" }, el("label", {}, "Loop from", from), el("label", {}, "to", to), "seconds");
  }

  pause() {
    this.wish++;
    this.start = this.position();
    this.silence();
    this.changed();
  }

  seek(position) {
    if (this.sounding) this.play(this.version, position);
    else {
      this.start = position;
      this.changed();
    }
  }

  silence() {
    if (!this.source) return;
    const { node, gain } = this.source;
    this.source = null;
    const now = audio.context.currentTime;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueAtTime(1, now);
    gain.gain.linearRampToValueAtTime(0, now + FADE);
    node.stop(now + FADE);
  }
}
