// Builds dist/ (the npm package) and, with --page FILE, the script of the page of `ncodec page`.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const page = process.argv.indexOf("--page");

mkdirSync(here("dist"), { recursive: true });
execFileSync(process.execPath, [
  here("node_modules/assemblyscript/bin/asc.js"), here("kernels/kernels.ts"),
  ...["--runtime", "stub", "-O3", "--noAssert", "--enable", "simd", "--use", "abort="],
  ...["-o", here("kernels/kernels.wasm")],
]);

const common = {
  bundle: true,
  target: "es2022",
  loader: { ".wasm": "binary", ".css": "text" },
  charset: "ascii",
  legalComments: "none",
  logLevel: "warning",
};

/** `script:./x.ts` is the text of that module, bundled: workers start from it. */
const scripts = {
  name: "scripts",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^script:/ }, ({ path, resolveDir }) => ({
      path: `${resolveDir}/${path.slice(7)}`,
      namespace: "script",
    }));
    onLoad({ filter: /.*/, namespace: "script" }, async ({ path }) => {
      const made = await build({
        ...common, entryPoints: [path], format: "iife", minify: true, write: false,
      });
      return { contents: made.outputFiles[0].text, loader: "text" };
    });
  },
};

await build({
  ...common, format: "esm", plugins: [scripts], outdir: here("dist"),
  entryPoints: { index: here("src/index.ts"), player: here("src/player/index.ts") },
});
if (page > 0) {
  await build({
    ...common, entryPoints: [here("src/page/main.ts")], format: "iife", minify: true,
    plugins: [scripts], outfile: process.argv[page + 1],
  });
}
