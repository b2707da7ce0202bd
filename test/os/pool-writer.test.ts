/** PoolWriter: the same bytes, whatever part of them goes past the page cache. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import { alignedBuffer, nodeFiles } from "../../src/os/index.ts";
import { PoolWriter } from "../../src/os/pool-writer.ts";
import { randomSeed } from "../base/seed.ts";

const seed = randomSeed();
const SIZE = 2 * 1024 * 1024;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-pool-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("PoolWriter.write()", () => {
  test("writes any range from memory of any alignment, several at once, and nothing beside it", async () => {
    const prng = createPrng(seed);
    const path = join(folder, "out");
    const right = prng.bytes(SIZE);
    writeFileSync(path, right);
    const fd = openSync(path, "r+");
    const writer = new PoolWriter(fd, path);
    for (let round = 0; round < 30; round += 1) {
      const writes: Promise<void>[] = [];
      // Apart from each other, as those of a salvage are.
      for (let part = 0; part < 4; part += 1) {
        const start = part * (SIZE / 4) + prng.below(9000);
        const length = prng.below(SIZE / 4 - 9000);
        const aligned = prng.chance(0.5);
        const memory = aligned ? alignedBuffer(SIZE) : new Uint8Array(SIZE);
        const from = memory.subarray(aligned ? start % 4096 : 0).subarray(0, length);
        from.set(prng.bytes(length));
        right.set(from, start);
        writes.push(writer.write(from, start));
      }
      await Promise.all(writes);
    }
    writer.close();
    closeSync(fd);
    expect(readFileSync(path).equals(right)).toBe(true);
  });

  test("fails as a call does, with the file's name", async () => {
    const fd = openSync("/dev/full", "r+");
    const writer = new PoolWriter(fd, "/dev/full");
    await expect(writer.write(new Uint8Array(100), 0)).rejects.toThrow(
      expect.objectContaining({ code: "ENOSPC", path: "/dev/full" }),
    );
    writer.close();
    closeSync(fd);
  });
});

describe("HostFile.write()", () => {
  test("is there for the machine's files, and seen by their reads", async () => {
    const file = nodeFiles.open(join(folder, "out"), { access: "create" });
    const bytes = createPrng(seed).bytes(300_000);
    await file.write?.(bytes, 10);
    const into = new Uint8Array(300_000);
    file.readSync(into, 10);
    expect(Buffer.compare(into, bytes)).toBe(0);
    file.close();
  });
});
