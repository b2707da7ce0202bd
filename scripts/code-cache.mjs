// Makes the caches of compiled code in dist/cli: runs the program once, a survey of the image that the package carries, and keeps what V8
// compiled of each file.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const root = join(import.meta.dirname, "..");
const { CACHE_SUFFIX, ChunkLoader } = createRequire(import.meta.url)("../dist/cli/chunk-loader.js");

const work = mkdtempSync(join(tmpdir(), "theriac-cache-"));
const image = join(work, "image");
const list = join(work, "list");
writeFileSync(image, gunzipSync(readFileSync(join(root, "assets/demo.ext4.gz"))));
writeFileSync(list, Array.from({ length: 64 }, (_, index) => `${index * 96} 8\n`).join(""));

const loader = new ChunkLoader();
process.on("exit", () => {
  rmSync(work, { recursive: true });
  for (const [path, script] of loader.scripts) writeFileSync(`${path}${CACHE_SUFFIX}`, script.createCachedData());
  // the survey itself ends with 1, because its list is of bad bytes
  process.exitCode = 0;
});
process.argv = [process.execPath, "theriac", "survey", image, "--json", "--poison", list];
loader.load(join(root, "dist/cli/program.js"));
