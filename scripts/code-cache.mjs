// Makes the caches of compiled code in dist/cli: runs the program once, a survey of the images that the package carries, and keeps what V8
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
// Every file system in a partition of its own, so that one run compiles what each needs.
const SECTOR = 512;
const ALIGNMENT = 2048;
const volumes = ["ext4", "xfs"].map((name) => gunzipSync(readFileSync(join(root, `assets/demo.${name}.gz`))));
const table = Buffer.alloc(ALIGNMENT * SECTOR);
table.writeUInt16LE(0xaa55, 510);
const bad = [];
let start = ALIGNMENT;
for (const [index, { length }] of volumes.entries()) {
  const sectors = length / SECTOR;
  table[446 + index * 16 + 4] = 0x83;
  table.writeUInt32LE(start, 446 + index * 16 + 8);
  table.writeUInt32LE(sectors, 446 + index * 16 + 12);
  // behind the superblock, without which there is nothing to survey
  for (let at = 64; at < sectors; at += Math.floor(sectors / 64 / 8) * 8) bad.push(`${start + at} 8\n`);
  start += sectors;
}
writeFileSync(image, Buffer.concat([table, ...volumes]));
writeFileSync(list, bad.join(""));

const loader = new ChunkLoader();
process.on("exit", () => {
  rmSync(work, { recursive: true });
  for (const [path, script] of loader.scripts) writeFileSync(`${path}${CACHE_SUFFIX}`, script.createCachedData());
  // the survey itself ends with 1, because its list is of bad bytes
  process.exitCode = 0;
});
process.argv = [process.execPath, "theriac", "survey", image, "--json", "--poison", list];
loader.load(join(root, "dist/cli/program.js"));
