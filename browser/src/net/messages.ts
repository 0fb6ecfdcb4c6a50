/** What two ends say besides sound, as RTCP packets of type APP with the name "ncod". */
import { latin } from "../format/bytes.js";
import { BadFileError } from "../format/errors.js";

const HEAD = 12;
const NAME = latin("ncod");
const KINDS = ["hello", "told", "bye", "ended"] as const;

/** What will be sent. */
export interface Hello {
  kind: "hello";
  model: string;
  hash: string;
  rate: number;
  hop: number;
  frames: number;
  layers: number;
}

/** What arrived in the last second; times in milliseconds tell how long a message takes both ways. */
export interface Told {
  kind: "told";
  /** Share of packets that never came. */
  lost: number;
  /** Seconds by which packets came later than the fastest, their median. */
  late: number;
  sent: number;
  echo: number;
  kept: number;
}

/** The end of a call, or of what one side says. */
export interface Bye {
  kind: "bye" | "ended";
  reason: string;
}

export type Message = Hello | Told | Bye;

/** Whether a datagram is RTCP, not RTP. */
export function isControl(data: Uint8Array): boolean {
  return data.length >= 2 && data[0]! >> 6 === 2 && data[1]! >= 192 && data[1]! <= 223;
}

export function putMessage(ssrc: number, message: Message): Uint8Array {
  const body = bodyOf(message);
  const out = new Uint8Array(HEAD + 4 * Math.ceil(body.length / 4));
  const view = new DataView(out.buffer);
  out.set([0x80 | KINDS.indexOf(message.kind), 204]);
  view.setUint16(2, out.length / 4 - 1);
  view.setUint32(4, ssrc);
  out.set(NAME, 8);
  out.set(body, HEAD);
  return out;
}

function bodyOf(message: Message): Uint8Array {
  if (message.kind === "told") {
    const body = new DataView(new ArrayBuffer(16));
    body.setUint16(0, Math.round(message.lost * 0xffff));
    body.setUint16(2, Math.min(Math.round(message.late * 1000), 0xffff));
    [message.sent, message.echo, message.kept].forEach((time, i) =>
      body.setUint32(4 + 4 * i, time % 2 ** 32));
    return new Uint8Array(body.buffer);
  }
  const text = message.kind === "hello" ? descriptionOf(message) : message.reason;
  return new TextEncoder().encode(text);
}

function descriptionOf({ model, hash, rate, hop, frames, layers }: Hello): string {
  return [
    `a=rtpmap:96 ncodec/${rate}/1`,
    `a=fmtp:96 model=${model};hash=${hash};hop=${hop};frames=${frames};layers=${layers}`,
    `a=ptime:${Number(((1000 * frames * hop) / rate).toPrecision(3))}`,
  ].join("\n");
}

/** The sender and the message of a datagram; any other bytes are a `BadFileError`. */
export function getMessage(data: Uint8Array): [number, Message] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const kind = KINDS[data[0]! & 31];
  const whole = data.length >= HEAD && 4 * view.getUint16(2) + 4 === data.length;
  if (!whole || !kind || data[1] !== 204 || NAME.some((byte, i) => data[8 + i] !== byte)) {
    throw new BadFileError("an RTCP packet that is no message of ncodec");
  }
  const ssrc = view.getUint32(4);
  if (kind === "told") {
    if (data.length !== HEAD + 16) throw new BadFileError("a report of another length");
    const [sent, echo, kept] = [16, 20, 24].map((at) => view.getUint32(at)) as [number, number, number];
    const lost = view.getUint16(12) / 0xffff;
    return [ssrc, { kind, lost, late: view.getUint16(14) / 1000, sent, echo, kept }];
  }
  const text = new TextDecoder().decode(data.subarray(HEAD)).replace(/\0+$/, "");
  return [ssrc, kind === "hello" ? helloOf(text) : { kind, reason: text }];
}

function helloOf(text: string): Hello {
  const [, type, rate] = /^a=rtpmap:(\d{1,3}) ncodec\/(\d{1,7})(?:\/1)?\s*$/im.exec(text) ?? [];
  const line = text.split("\n").find((one) => one.startsWith(`a=fmtp:${type} `)) ?? "";
  const said = new Map(
    line.slice(line.indexOf(" ") + 1).split(";").map((pair) => {
      const [key = "", value = ""] = pair.split("=", 2);
      return [key.trim(), value.trim()];
    }));
  const number = (key: string): number => Number.parseInt(said.get(key) ?? "", 10);
  const [hop, frames, layers] = [number("hop"), number("frames"), number("layers")];
  if (rate === undefined || !(hop > 0 && frames > 0 && layers > 0)) {
    throw new BadFileError("a description without what is needed");
  }
  return {
    kind: "hello", model: said.get("model") ?? "", hash: said.get("hash") ?? "",
    rate: Number(rate), hop, frames, layers,
  };
}
