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

/** Bytes of what is gzip in base64. */
export async function unpack(text: string): Promise<Uint8Array> {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
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
