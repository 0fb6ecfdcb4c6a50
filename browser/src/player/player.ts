/** `<ecdc-player src="talk.ecdc">`: looks at a file and plays it. */
import type { Codec } from "./codec.js";
import { Codec as Worker_ } from "./codec.js";
import { detailsOf, drawStrip } from "./details.js";
import { clock, count, el, rounded, save, size, spoken } from "./dom.js";
import type { ModelSource, Summary } from "./engine.js";
import { Picture } from "./picture.js";
import { Playback } from "./playback.js";
import style from "./player.css";

const STEP = 5; // seconds of an arrow key

let shared: Codec | undefined;

/** Says which model all players use; they share one worker. */
export function useModel(source: ModelSource): Codec {
  shared = new Worker_(source);
  return shared;
}

export class Player extends HTMLElement {
  static readonly observedAttributes = ["src"];
  playback: Playback | undefined;
  summary: Summary | undefined;
  /** When a file was given, by `performance.now()`. */
  given = 0;
  private data: Uint8Array<ArrayBuffer> | undefined;
  private handle = 0;
  private turn = 0;
  private readonly root = this.attachShadow({ mode: "open" });
  private readonly picture = new Picture();
  private readonly strip = el("canvas", { class: "strip" });
  private readonly name_ = el("h3");
  private readonly facts = el("p", { class: "facts" });
  private readonly fault = el("p", { class: "fault", role: "alert" });
  private readonly status = el("p", { class: "status facts", role: "status" });
  private readonly time = el("span", { class: "time" });
  private readonly cursor = el("i");
  private readonly range = el("u", { hidden: true });
  private readonly view = el("div", { class: "picture" }, this.picture.canvas, this.range, this.cursor);
  private readonly playing = this.button("Play", () => this.toggle(), "main");
  private readonly seeking = el("input", { type: "range", min: "0", step: "any", value: "0" });
  private readonly books = el("input", { type: "range", min: "1", step: "1" });
  private readonly bitrate = el("output");
  private readonly looping = this.button("Loop", () => this.setLoop(!this.playback?.loop));
  private readonly from = this.button("Loop from here", () => this.mark(0));
  private readonly to = this.button("Loop to here", () => this.mark(1));
  private readonly wav = this.button("Save as WAV", () => void this.saveWave());
  private readonly ecdc = this.button("Save .ecdc", () => this.saveFile());
  private readonly details = el("details");
  private readonly marks = [0, 0];
  private readonly controls = el("div");

  constructor() {
    super();
    this.looping.setAttribute("aria-pressed", "false");
    this.controls.hidden = true;
    this.controls.append(
      this.view,
      el("div", { class: "row" }, this.playing, this.time,
        el("label", {}, el("span", {}, "Place"), this.seeking)),
      el("div", { class: "row" },
        el("label", {}, el("span", {}, "Codebooks"), this.books, this.bitrate)),
      el("div", { class: "row" }, this.looping, this.from, this.to, this.wav, this.ecdc),
    );
    const article = el("article", {}, this.name_, this.facts, this.fault, this.controls, this.status,
      this.details);
    this.root.append(el("style", {}, style), article);
    this.listen(article);
  }

  attributeChangedCallback(_name: string, _before: string | null, src: string | null): void {
    if (src !== null) void this.fetch(src);
  }

  disconnectedCallback(): void {
    this.playback?.pause();
  }

  /** Looks at a file; a picture of it grows from then on. */
  async show(name: string, data: Uint8Array<ArrayBuffer>): Promise<void> {
    this.given = performance.now();
    const turn = ++this.turn;
    this.playback?.pause();
    this.name_.textContent = name;
    this.data = data;
    try {
      const { codec } = this;
      await codec.ready;
      const [id, summary] = await codec.call("open", data);
      if (turn !== this.turn) return void codec.call("close", id);
      if (this.handle) void codec.call("close", this.handle);
      this.handle = id;
      this.describe(summary);
      if (!summary.fault) await this.draw(turn);
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  private get codec(): Codec {
    if (!shared) throw new Error("no model: call useModel() before a player shows a file");
    return shared;
  }

  private async fetch(src: string): Promise<void> {
    const name = decodeURIComponent(src.split("/").at(-1) ?? src);
    try {
      const answer = await fetch(src);
      if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
      await this.show(name, new Uint8Array(await answer.arrayBuffer()));
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  private describe(summary: Summary): void {
    this.summary = summary;
    const seconds = summary.length / summary.rate;
    const tags = new Map(summary.links[0]!.tags.map(([key, value]) => [key.toUpperCase(), value]));
    const title = [tags.get("ARTIST"), tags.get("TITLE")].filter(Boolean).join(": ");
    this.facts.textContent = [
      title, clock(seconds), count(summary.channels, "channel"), size(summary.bytes),
      `${rounded((summary.bytes * 8) / 1000 / Math.max(seconds, 0.001))} kbps with all bytes`,
      summary.damaged ? "damaged: what is missing is bridged" : "",
    ].filter(Boolean).join(" · ");
    this.facts.classList.toggle("bad", summary.damaged);
    this.details.replaceChildren(el("summary", {}, "What the file holds"), ...detailsOf(summary, this.strip));
    this.details.open = summary.damaged;
    this.say(summary.fault);
    this.controls.hidden = summary.fault !== "";
    requestAnimationFrame(() => drawStrip(this.strip, summary));
    if (summary.fault) return;
    this.playback = new Playback(this.codec, this.handle, summary, () => this.update(),
      (error) => this.say(error.message));
    Object.assign(this.seeking, { max: String(seconds), value: "0" });
    Object.assign(this.books, { max: String(summary.codebooks), value: String(summary.codebooks) });
    this.marks.splice(0, 2, 0, summary.length);
    this.update();
  }

  private async draw(turn: number): Promise<void> {
    for (let done = false; !done && turn === this.turn && this.isConnected; ) {
      if (!this.playback?.easy) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      const columns = await this.codec.call("overview", this.handle);
      if (turn !== this.turn) return;
      this.picture.add(columns);
      done = columns.done;
    }
    this.toggleAttribute("drawn", true);
  }

  private say(text: string): void {
    this.fault.textContent = text;
  }

  private button(text: string, act: () => void, name = ""): HTMLButtonElement {
    const button = el("button", { type: "button" }, text);
    if (name) button.className = name;
    button.addEventListener("click", act);
    return button;
  }

  private listen(article: HTMLElement): void {
    this.seeking.addEventListener("input", () => this.seek(Number(this.seeking.value)));
    this.books.addEventListener("input", () => this.choose(Number(this.books.value)));
    this.view.addEventListener("pointerdown", (event) => {
      const box = this.view.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      this.seek((share * (this.summary?.length ?? 0)) / (this.summary?.rate ?? 1));
    });
    this.details.addEventListener("toggle", () => this.summary && drawStrip(this.strip, this.summary));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      this.summary && drawStrip(this.strip, this.summary));
    article.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const { playback, summary } = this;
    if (!playback || !summary || event.ctrlKey || event.altKey || event.metaKey) return;
    const place = playback.position / summary.rate;
    const slides = event.target instanceof HTMLInputElement;
    const pressed = event.target instanceof HTMLButtonElement || event.target instanceof HTMLElement
      && event.target.tagName === "SUMMARY";
    const keys: Record<string, (() => void) | false> = {
      " ": !pressed && (() => this.toggle()),
      k: () => this.toggle(),
      l: () => this.setLoop(!playback.loop),
      "[": () => this.choose(playback.codebooks - 1),
      "]": () => this.choose(playback.codebooks + 1),
      ArrowLeft: (!slides || event.target === this.seeking) && (() => this.seek(place - STEP)),
      ArrowRight: (!slides || event.target === this.seeking) && (() => this.seek(place + STEP)),
      Home: !slides && (() => this.seek(0)),
      End: !slides && (() => this.seek(summary.length / summary.rate)),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  private toggle(): void {
    const { playback } = this;
    if (playback?.playing) playback.pause();
    else playback?.play().catch((error: unknown) => this.say((error as Error).message));
  }

  private seek(seconds: number): void {
    if (this.summary) this.playback?.seek(seconds * this.summary.rate);
  }

  private choose(codebooks: number): void {
    if (!this.playback || !this.summary) return;
    this.playback.codebooks = Math.min(Math.max(codebooks, 1), this.summary.codebooks);
    this.update();
  }

  private setLoop(on: boolean): void {
    if (!this.playback) return;
    this.playback.loop = on ? [this.marks[0]!, this.marks[1]!] : undefined;
    this.playback.seek(this.playback.position);
    this.status.textContent = on ? `Loop from ${this.said(this.marks[0]!)} to ${this.said(this.marks[1]!)}` : "";
  }

  /** Puts an end of the loop where the sound is now, and loops. */
  private mark(end: 0 | 1): void {
    if (!this.playback || !this.summary) return;
    this.marks[end] = Math.round(this.playback.position);
    const least = this.summary.rate / 5; // no shorter than can be heard
    if (this.marks[1]! - this.marks[0]! < least) {
      if (end) this.marks[0] = 0;
      else this.marks[1] = this.summary.length;
    }
    this.setLoop(true);
  }

  private said(sample: number): string {
    return clock(sample / this.summary!.rate);
  }

  private update(): void {
    const { playback, summary } = this;
    if (!playback || !summary) return;
    const seconds = Math.min(playback.position, summary.length) / summary.rate;
    const whole = summary.length / summary.rate;
    this.playing.textContent = playback.playing ? "Pause" : "Play";
    this.time.textContent = `${clock(seconds)} / ${clock(whole)}`;
    if (this.root.activeElement !== this.seeking || playback.playing) {
      this.seeking.value = String(seconds);
    }
    this.seeking.setAttribute("aria-valuetext", `${spoken(seconds)} of ${spoken(whole)}`);
    this.cursor.style.setProperty("--at", String(whole ? seconds / whole : 0));
    const words = `${playback.codebooks} of ${summary.codebooks}, ${rounded(summary.steps[playback.codebooks - 1] ?? 0)} kbps`;
    this.books.value = String(playback.codebooks);
    this.books.setAttribute("aria-valuetext", `${words.replace("kbps", "kilobits a second")}`);
    this.bitrate.textContent = words;
    this.looping.setAttribute("aria-pressed", String(playback.loop !== undefined));
    this.range.hidden = !playback.loop;
    const [from, to] = playback.loop ?? [0, 0];
    this.range.style.left = `${(100 * from) / summary.length}%`;
    this.range.style.width = `${(100 * (to - from)) / summary.length}%`;
    if (playback.playing) requestAnimationFrame(() => this.update());
  }

  private async saveWave(): Promise<void> {
    const { codec, handle: id, playback, summary } = this;
    if (!playback || !summary) return;
    this.wav.disabled = true;
    try {
      const parts: BlobPart[] = [];
      let bytes = 0;
      for (let part, first: number | undefined = playback.codebooks; ; first = undefined) {
        part = await codec.call("wave", id, first);
        if (!part) break;
        parts.push(part as Uint8Array<ArrayBuffer>);
        bytes += part.length;
        const done = bytes / 2 / summary.channels / summary.sourceRate;
        this.status.textContent = `WAV: ${clock(done)} decoded`;
      }
      const head = await codec.call("waveHeader", id, bytes);
      save(this.fileName(".wav"), [head as Uint8Array<ArrayBuffer>, ...parts], "audio/wav");
      this.status.textContent = `WAV saved: ${size(bytes + 44)}`;
    } catch (error) {
      this.say((error as Error).message);
    }
    this.wav.disabled = false;
  }

  private saveFile(): void {
    if (this.data) save(this.fileName(".ecdc"), [this.data], "audio/x-ecdc");
  }

  private fileName(ending: string): string {
    return `${(this.name_.textContent || "sound").replace(/\.[^.]*$/, "")}${ending}`;
  }
}

/** Registers the element. */
export function definePlayer(): void {
  if (!customElements.get("ecdc-player")) customElements.define("ecdc-player", Player);
}
