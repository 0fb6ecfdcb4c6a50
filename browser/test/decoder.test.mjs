// The package as those use it who have no page: a recording made and decoded, whole and in blocks.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decode, Decoder, joined, Recorder, SpectralModel } from "../dist/index.js";

const place = (name) => new URL(`../../ncodec/pretrained/ncodec_24khz.${name}`, import.meta.url);
const { name, config } = JSON.parse(readFileSync(place("json"), "utf8"));
const about = { name, fingerprint: "ab".repeat(32), config };

test("a recording is decoded at its length, and in blocks just as whole", async () => {
  const decoder = await Decoder.load(new Uint8Array(readFileSync(place("safetensors"))), about);
  assert.ok(decoder.model instanceof SpectralModel);
  const samples = Float32Array.from({ length: 10001 }, (_, i) => 0.3 * Math.sin(i / 7));
  const recorder = new Recorder(decoder.model, { codebooks: 16 });
  recorder.push([samples]);
  const file = recorder.finish();
  const { rate, audio } = decoder.decode(file);
  assert.deepEqual([rate, audio.length, audio[0].length], [24000, 1, samples.length]);
  assert.deepEqual(joined([...decoder.blocks(file)], 1), audio);
  const energy = (x) => x.reduce((sum, y) => sum + y * y, 0);
  assert.ok(energy(samples.map((x, i) => x - audio[0][i])) < 0.5 * energy(samples));
  const fewer = new Decoder(decoder.model, { codebooks: 1 }).decode(file).audio;
  assert.deepEqual(decode(file, decoder.model, { codebooks: 1 }).audio, fewer);
  assert.notDeepEqual(fewer, audio);
});

test("files of another model are refused", async () => {
  const weights = new Uint8Array(readFileSync(place("safetensors")));
  const mine = await Decoder.load(weights, about);
  const recorder = new Recorder(mine.model, { codebooks: 1 });
  recorder.push([new Float32Array(700)]);
  const other = new Decoder(await SpectralModel.load(weights, { ...about, fingerprint: "cd".repeat(32) }));
  assert.throws(() => other.decode(recorder.finish()), /made with model/);
});
