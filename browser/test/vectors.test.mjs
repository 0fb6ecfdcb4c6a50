// The reader against the conformance kit: the same verdicts as `ncodec selftest`.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { codingsWith, survey, Tables } from "../dist/index.js";

const kit = new URL(process.env.KIT ?? "../../formats/vectors/", import.meta.url);
const toy = new URL("subset/toy.tables", kit);
const tables = existsSync(toy) ? [new Tables(new Uint8Array(readFileSync(toy)))] : [];
const codings = codingsWith(tables);

for (const group of ["subset", "uncommon", "faulty"]) {
  const expected = JSON.parse(readFileSync(new URL(`${group}/expected.json`, kit), "utf8"));
  for (const [name, due] of Object.entries(expected)) {
    test(`${group}/${name}: ${due.is}`, () => {
      const data = new Uint8Array(readFileSync(new URL(`${group}/${name}`, kit)));
      const strict = survey(data, false, codings);
      assert.equal(strict.error, due.error);
      if (due.links && !due.error) assert.deepEqual(strict.links, due.links);
      if (due.damaged) {
        const found = survey(data, true, codings);
        assert.equal(found.error, undefined);
        assert.deepEqual(found.links, due.damaged);
      }
    });
  }
}
