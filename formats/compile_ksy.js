// Compiles ecdc.ksy to the Python parser that the tests run:
//   npm install kaitai-struct-compiler@0.11.0 js-yaml && node formats/compile_ksy.js
const { createHash } = require("crypto");
const { readFileSync, writeFileSync } = require("fs");
const { join } = require("path");
const compiler = require("kaitai-struct-compiler");
const yaml = require("js-yaml");

const source = readFileSync(join(__dirname, "ecdc.ksy"), "utf8");
const digest = createHash("sha256").update(source).digest("hex");
compiler.compile("python", yaml.load(source), null, false).then((files) => {
  const marks = `# ruff: noqa\n# fmt: off\n# pyright: basic\n# sha256 of ecdc.ksy: ${digest}\n`;
  const target = join(__dirname, "..", "tests", "formats", "kaitai", "ecdc.py");
  writeFileSync(target, marks + files["ecdc.py"]);
});
