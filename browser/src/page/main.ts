/** The page: files dropped, chosen, brought along or recorded, each in a player of its own. */
import { codingsWith, decode, type DecodeOptions, Recorder, SpectralModel, survey, Tables } from "../index.js";
import { Call } from "../net/call.js";
import { definePlayer, Player, useModel } from "../player/player.js";
import { clock, count, el, rounded } from "../player/dom.js";
import type { About } from "../model/weights.js";
import { Microphone } from "../player/microphone.js";
import { setUpCalls } from "./calls.js";
import { fromBase64, unpack, unpackWeights } from "../player/weights.js";

const at = (id: string): HTMLElement => document.getElementById(id)!;

/** The text of a data element, which is then let go. */
function taken(id: string): string {
  const element = at(id);
  const text = element.textContent ?? "";
  element.remove();
  return text;
}

const about = JSON.parse(taken("about")) as About;
const packed = taken("weights").trim();
const tables = [...document.querySelectorAll("script[data-tables]")].map((element) => {
  element.remove();
  return (element.textContent ?? "").trim();
});
definePlayer();
const codec = useModel({ about, weights: packed, tables });
codec.ready.then(
  () => {
    at("ready").textContent = "";
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  },
  (error: Error) => {
    at("ready").textContent = `This browser cannot run the codec: ${error.message}`;
    at("ready").className = "fault";
  },
);

function show(name: string, data: Uint8Array<ArrayBuffer>): Player {
  const player = el("ecdc-player" as "div") as unknown as Player;
  at("files").prepend(player);
  at("none").hidden = true;
  void player.show(name, data);
  return player;
}

async function showAll(files: Iterable<File>): Promise<void> {
  for (const file of files) show(file.name, new Uint8Array(await file.arrayBuffer()));
}

// Files that came with the page.
for (const element of [...document.querySelectorAll<HTMLElement>("script[data-file]")].reverse()) {
  show(element.dataset.file!, fromBase64((element.textContent ?? "").trim()));
  element.remove();
}

// Files dropped or chosen.
const chooser = at("chooser") as HTMLInputElement;
chooser.addEventListener("change", () => {
  void showAll(chooser.files ?? []);
  chooser.value = "";
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"] as const) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", kind === "dragover" || kind === "dragenter");
    if (kind === "drop") void showAll(event.dataTransfer?.files ?? []);
  });
}

// The microphone.
const button = at("record") as HTMLButtonElement;
const bandwidth = at("bandwidth") as HTMLSelectElement;
const level = at("level") as HTMLMeterElement;
const said = at("recorded");
for (let books = 1; books <= about.config.codebooks; books++) {
  const { cardinality, sample_rate: rate, hop } = about.config;
  const kbps = (books * Math.log2(cardinality) * rate) / hop / 1000;
  const text = `${rounded(kbps)} kbps (${count(books, "codebook")})`;
  bandwidth.append(new Option(text, String(books), books === 8, books === 8));
}

/** What stops the recording under way, if there is one. */
let stop: (() => Promise<void>) | undefined;

async function record(): Promise<void> {
  const books = Number(bandwidth.value);
  const rate = about.config.sample_rate;
  await codec.ready;
  const id = await codec.call("record", books);
  let samples = 0;
  let waiting: Float32Array[] = [];
  const send = (): void => {
    const block = new Float32Array(waiting.reduce((sum, part) => sum + part.length, 0));
    waiting.reduce((to, part) => (block.set(part, to), to + part.length), 0);
    waiting = [];
    if (block.length) codec.call("push", id, block).catch(fail);
  };
  const microphone = await Microphone.open(rate, (part) => {
    samples += part.length;
    waiting.push(part);
    if (waiting.length >= 32) {
      level.value = waiting.reduce((most, one) => one.reduce((m, x) => Math.max(m, Math.abs(x)), most), 0);
      said.textContent = clock(samples / rate);
      send();
    }
  });
  stop = async () => {
    stop = undefined;
    await microphone.close();
    send();
    const file = await codec.call("finish", id);
    const stamp = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
    show(`recording-${stamp}.ecdc`, file as Uint8Array<ArrayBuffer>);
    said.textContent = `Recorded ${clock(samples / rate)}: it is the first of the files below`;
  };
}

function fail(error: unknown): void {
  said.textContent = `No recording: ${(error as Error).message}`;
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await (stop ? stop() : record());
  } catch (error) {
    fail(error);
  }
  button.disabled = false;
  bandwidth.disabled = stop !== undefined;
  button.textContent = stop ? "Stop" : "Record";
  button.setAttribute("aria-pressed", String(stop !== undefined));
  if (!stop) level.value = 0;
});

setUpCalls(codec, about.config.sample_rate);

/** The page's tables, once `load` has unpacked them. */
let known: Tables[] = [];

/** What scripts may use: the codec itself, without a worker. */
Object.assign(window, {
  ncodec: {
    about, Call, codec, codingsWith, Player, Recorder, survey, Tables,
    load: async () => {
      known = (await Promise.all(tables.map(unpack))).map((one) => new Tables(one));
      return SpectralModel.load(await unpackWeights(packed), about);
    },
    decode: (data: Uint8Array, model: SpectralModel, options: DecodeOptions = {}) =>
      decode(data, model, { tables: known, ...options }),
  },
});
