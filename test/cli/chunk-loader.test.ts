/** ChunkLoader: files load once, know each other, and a cache that V8 refuses changes nothing. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CACHE_SUFFIX, ChunkLoader } from "../../src/cli/chunk-loader.ts";
import { MAIN } from "./support/theriac.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-chunks-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("load()", () => {
  test("runs a file once, whoever asks, and gives it its own require", () => {
    write(
      "other.js",
      "exports.count = (exports.count ?? 0) + 1; exports.main = require('./main.js');",
    );
    const main = write(
      "main.js",
      "exports.early = true; const other = require('./other.js'); const again = require('./other.js');" +
        "module.exports = { same: other === again, count: other.count, early: other.main.early, join: require('node:path').join };",
    );
    const loader = new ChunkLoader();
    expect(loader.load(main)).toEqual({ same: true, count: 1, early: true, join });
    expect(loader.load(main)).toBe(loader.load(main));
    expect([...loader.scripts.keys()].sort()).toEqual([main, join(folder, "other.js")].sort());
  });

  test("a cache of another text or of nonsense is passed over", () => {
    const path = write("main.js", "exports.value = 1;");
    const loader = new ChunkLoader();
    loader.load(path);
    const cache = loader.scripts.get(path)?.createCachedData() ?? Buffer.alloc(0);
    write(`main.js${CACHE_SUFFIX}`, cache as unknown as string);
    write("main.js", "exports.value = 22;");
    expect(new ChunkLoader().load(path)).toEqual({ value: 22 });
    write(`main.js${CACHE_SUFFIX}`, "nonsense");
    expect(new ChunkLoader().load(path)).toEqual({ value: 22 });
  });

  test("the build made caches for the program, whose files are ASCII", () => {
    const built = join(MAIN, "..");
    expect(existsSync(join(built, `program.js${CACHE_SUFFIX}`))).toBe(true);
    const caches = readdirSync(join(built, "chunks")).filter((name) => name.endsWith(CACHE_SUFFIX));
    expect(caches.length).toBeGreaterThan(3);
    for (const name of readdirSync(join(built, "chunks"))) {
      if (name.endsWith(".js"))
        expect(readFileSync(join(built, "chunks", name)).every((byte) => byte < 128)).toBe(true);
    }
  });
});
