/** Caches that Linux 6.1 made and left in the middle of work, read here as Linux reads them after a restart; needs no lab. lab/writecache.sh records them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { unpackImages, type PackedCache } from "../../lab/writecache/pack.ts";
import { openDevice } from "../../src/device/index.ts";
import { openStack } from "../../src/mapper/index.ts";

const FIXTURE = join(import.meta.dirname, "fixtures/writecache.br");

/** Writes a cache as files, with a stack over them. @returns the folder */
function unpack({ args, origin, cache }: PackedCache): string {
  const folder = mkdtempSync(join(tmpdir(), "theriac-writecache-"));
  writeFileSync(join(folder, "origin.img"), origin);
  writeFileSync(join(folder, "cache.img"), cache);
  writeFileSync(
    join(folder, "s.stack"),
    `device origin origin.img\ndevice cache cache.img\nwc: 0 ${origin.length / 512} writecache ${args}\n`,
  );
  return folder;
}

async function contentOf(folder: string): Promise<Uint8Array> {
  const { device } = await openStack(join(folder, "s.stack"));
  const bytes = new Uint8Array(device.size);
  expect((await device.read(bytes, 0)).missing).toEqual([]);
  await device.close();
  return bytes;
}

/** The committed entries of a cache, newest last, and those that nobody committed: [sector of the origin, place of the block]. */
function entriesOf({ args, cache }: PackedCache) {
  const start = Number(/start_sector (\d+)/.exec(args)?.[1] ?? 0) * 512;
  const bytes = Buffer.from(cache.subarray(start));
  const blockSize = bytes.readUInt32LE(8);
  const count = Number(bytes.readBigUInt64LE(16));
  const data = Math.ceil((64 + 16 * count) / blockSize) * blockSize;
  const entries = Array.from({ length: count }, (_, index) => ({
    sector: Number(bytes.readBigUInt64LE(64 + 16 * index)),
    sequence: bytes.readBigUInt64LE(72 + 16 * index),
    place: start + data + index * blockSize,
  }));
  const next = bytes.readBigUInt64LE(24);
  const isFree = (sequence: bigint): boolean => sequence === 2n ** 64n - 1n;
  return {
    blockSize,
    committed: entries.filter(({ sequence }) => sequence < next),
    uncommitted: entries.filter(({ sequence }) => sequence >= next && !isFree(sequence)),
    free: entries.filter(({ sequence }) => isFree(sequence)),
  };
}

describe("a cache that Linux made", () => {
  test("persistent memory holds entries that nobody committed, and they do not count", () => {
    const packed = unpackImages(readFileSync(FIXTURE)).filter(({ args }) => args.startsWith("p"));
    expect(packed.some((one) => entriesOf(one).uncommitted.length > 0)).toBe(true);
  });

  test.for(unpackImages(readFileSync(FIXTURE)))(
    "R1: $name: a dirty block that is bad is bad at its address of the origin, a free one is not",
    async (packed) => {
      const folder = unpack(packed);
      try {
        const { committed, free, blockSize } = entriesOf(packed);
        const [dirty, clean] = [committed[0], free.at(-1)];
        if (dirty === undefined || clean === undefined)
          expect.fail("want a dirty and a free block");
        const cache = openDevice(join(folder, "cache.img"), { access: "write" });
        cache.recordBad({ offset: dirty.place + 100, length: 64 }, "poisoned");
        cache.recordBad({ offset: clean.place, length: blockSize }, "poisoned");
        cache.close();
        const { device } = await openStack(join(folder, "s.stack"));
        const bytes = new Uint8Array(device.size);
        const bad = { offset: dirty.sector * 512 + 100, length: 64 };
        expect((await device.read(bytes, 0)).missing).toEqual([{ ...bad, state: "poisoned" }]);
        await device.close();
        bytes.set(packed.wanted.subarray(bad.offset, bad.offset + bad.length), bad.offset);
        expect(Buffer.compare(bytes, packed.wanted)).toBe(0);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  test.for(unpackImages(readFileSync(FIXTURE)))("$name: $args", async (packed) => {
    const folder = unpack(packed);
    try {
      expect(Buffer.compare(await contentOf(folder), packed.wanted)).toBe(0);
      // nothing is written by looking
      expect(Buffer.compare(readFileSync(join(folder, "cache.img")), packed.cache)).toBe(0);
      expect(Buffer.compare(readFileSync(join(folder, "origin.img")), packed.origin)).toBe(0);
      // the origin alone is older: it is the cache that gives the rest
      expect(Buffer.compare(packed.origin, packed.wanted)).not.toBe(0);
      const { device, table } = await openStack(join(folder, "s.stack"), { access: "write" });
      const target = table.rows[0]?.target;
      if (target?.kind === "device") await target.message?.(["flush"]);
      await device.close();
      expect(Buffer.compare(readFileSync(join(folder, "origin.img")), packed.wanted)).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
