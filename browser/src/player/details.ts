/** What a file holds, in words: header, tags, packets and damage. */
import { clock, count, el, rounded } from "./dom.js";
import type { LinkSummary, Stretch, Summary } from "./engine.js";

const WORDS: Record<string, string> = {
  frames: "frames lost", packets: "damaged packets", layers: "layers lost above good ones",
  late: "packets late or repeated", recovered: "packets recovered from copies",
  skipped: "bytes skipped", truncated: "no end: cut short", mismatch: "totals or digest differ",
  header: "header replaced by its copy", gone: "frames lost before a repair",
};

const KINDS = ["packed", "predicted"];

function table(caption: string, rows: [string, string][]): HTMLElement {
  const body = rows.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el("div", { class: "scroll" },
    el("table", {}, el("caption", {}, caption), el("tbody", {}, ...body)));
}

function headerRows(link: LinkSummary): [string, string][] {
  const kinds = [...new Set(link.kinds)].map((kind) => KINDS[kind] ?? `of kind ${kind}`).join(", ");
  return [
    ["Model", `${link.model} (${link.modelHash.slice(0, 12)})`],
    ["Length", `${clock(link.seconds)} (${rounded(link.seconds)} s)`],
    ["Source", `${link.sourceRate} Hz, ${count(link.sourceChannels, "channel")}`],
    ["Codes", `${count(link.codebookSizes.length, "codebook")} of ${link.codebookSizes[0]}, ` +
      `${rounded(link.sampleRate / link.hop)} frames a second, ${rounded(link.kbps)} kbps`],
    ["Packets", `${count(link.packetFrames, "frame")} each, codes ${kinds}`],
    ...(link.streams > 1 ? [["Streams", String(link.streams)] as [string, string]] : []),
    ...(link.gainDb ? [["Gain", `${rounded(link.gainDb)} dB`] as [string, string]] : []),
    ...(link.peeled ? [["Peeled", "upper codebooks have been dropped"] as [string, string]] : []),
  ];
}

function lossRows({ losses }: LinkSummary): [string, string][] {
  return Object.entries(losses)
    .filter(([, value]) => value)
    .map(([name, value]) => [WORDS[name] ?? name, value === true ? "yes" : String(value)]);
}

const colour = (canvas: HTMLElement, name: string): string =>
  getComputedStyle(canvas).getPropertyValue(name);

/** Draws each packet over the time it covers: whole, with lost layers, or lost. */
export function drawStrip(canvas: HTMLCanvasElement, summary: Summary): void {
  canvas.width = Math.max(canvas.clientWidth * devicePixelRatio, 1);
  canvas.height = 26;
  const context = canvas.getContext("2d")!;
  const scale = (canvas.width * summary.rate) / Math.max(summary.length, 1);
  const gap = summary.stretches.length < canvas.width / 4 ? 1 : 0;
  for (const { at, seconds, good, layers } of summary.stretches) {
    const height = layers ? (26 * good) / Math.max(summary.codebooks, 1) : 26;
    const name = !layers ? "--bad" : good < layers ? "--part" : "--accent";
    context.fillStyle = colour(canvas, name);
    context.fillRect(at * scale, 26 - height, Math.max(seconds * scale - gap, 1), height);
  }
}

function packets(stretches: readonly Stretch[], strip: HTMLCanvasElement): HTMLElement {
  const lost = stretches.filter(({ layers }) => !layers).length;
  const partly = stretches.filter(({ good, layers }) => good < layers).length;
  const whole = stretches.length - lost - partly;
  const key = [["--accent", `${whole} whole`], ["--part", `${partly} with layers lost`],
    ["--bad", `${count(lost, "stretch", "stretches")} lost`]] as const;
  const words = key.map(([, text]) => text).join(", ");
  strip.setAttribute("role", "img");
  strip.setAttribute("aria-label", `Packets over time: ${words}`);
  return el("div", {}, strip, el("p", { class: "key" },
    ...key.map(([name, text]) => el("span", {}, el("b", { style: `background: var(${name})` }), text))));
}

export function detailsOf(summary: Summary, strip: HTMLCanvasElement): HTMLElement[] {
  const many = summary.links.length > 1;
  const parts = summary.links.slice(0, 20).flatMap((link, i) => {
    const of = many ? ` of part ${i + 1}` : "";
    const out = [table(`Header${of}`, headerRows(link))];
    if (link.tags.length) out.push(table(`Tags${of}`, link.tags));
    const losses = lossRows(link);
    if (losses.length) {
      out.push(table(`Damage${of}`, losses),
        el("ul", {}, ...link.problems.slice(0, 20).map((text) => el("li", {}, text))));
    }
    return out;
  });
  if (summary.links.length > 20) parts.push(el("p", {}, `and ${summary.links.length - 20} parts more`));
  return [packets(summary.stretches, strip), ...parts];
}
