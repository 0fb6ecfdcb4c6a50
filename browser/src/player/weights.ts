/** Unpacks weights as `ncodec page` packs them. */

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const made = Uint8Array as unknown as {
    fromBase64?(text: string): Uint8Array<ArrayBuffer>;
  };
  if (made.fromBase64) return made.fromBase64(text);
  const binary = atob(text);
  const out = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
  return out;
}

/**
 * Four bytes, as a big-endian number, are five digits of base 85, "#" to "w" with "x" for "<";
 * of the last one to three bytes there are as many digits and one more.
 */
export function fromBase85(text: string): Uint8Array<ArrayBuffer> {
  const groups = Math.ceil(text.length / 5);
  const missing = 5 * groups - text.length;
  const out = new Uint8Array(4 * groups);
  const padded = text + "w".repeat(missing);
  for (let i = 0, at = 0; i < out.length; i += 4) {
    let word = 0;
    for (let digit = 0; digit < 5; digit++) {
      const code = padded.charCodeAt(at++);
      word = 85 * word + (code === 120 ? 60 : code) - 35;
    }
    out[i] = word >>> 24;
    out[i + 1] = word >>> 16;
    out[i + 2] = word >>> 8;
    out[i + 3] = word;
  }
  return out.subarray(0, out.length - missing);
}

/** Bytes of what is gzip in base 85. */
export async function unpack(text: string): Promise<Uint8Array> {
  const stream = new Blob([fromBase85(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Likewise, where first the even bytes stand and then the odd ones. */
export async function unpackWeights(text: string): Promise<Uint8Array> {
  const planes = await unpack(text);
  const half = planes.length / 2;
  const out = new Uint8Array(planes.length);
  for (let i = 0; i < half; i++) {
    out[2 * i] = planes[i]!;
    out[2 * i + 1] = planes[half + i]!;
  }
  return out;
}
