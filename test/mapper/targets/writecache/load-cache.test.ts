/** loadCache: what is no cache of this row is refused in Linux' words with nothing written; what a crash left is sorted out; hostile bytes end in a message. */
import { describe, expect, test } from "vitest";
import { createPrng, StorageError } from "../../../../src/base/index.ts";
import { createMemoryDevice, type SimulatedDevice } from "../../../../src/device/index.ts";
import {
  activateRows,
  loadTable,
  mappedDevice,
  parseTable,
  type MappedManagedDevice,
} from "../../../../src/mapper/index.ts";
import { randomSeed } from "../../../base/seed.ts";

const seed = randomSeed();
const FREE = 2n ** 64n - 1n;

/** A cache of 8 blocks by its bytes: entries as [sector, sequence], block i full of i + 1. */
function cacheBytes(
  entries: readonly (readonly [bigint, bigint])[],
  head: Partial<Head> = {},
): Buffer {
  const { magic = 0x2348_9321, version = 1, blockSize = 4096, blocks = 8n, sequence = 10n } = head;
  const bytes = Buffer.alloc(40_960);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(version, 4);
  bytes.writeUInt32LE(blockSize, 8);
  bytes.writeBigUInt64LE(blocks, 16);
  bytes.writeBigUInt64LE(sequence, 24);
  for (let index = 0; index < 8; index += 1) {
    const [sector, own] = entries[index] ?? [FREE, FREE];
    bytes.writeBigUInt64LE(sector, 64 + index * 16);
    bytes.writeBigUInt64LE(own, 72 + index * 16);
    bytes.fill(index + 1, 4096 * (index + 1), 4096 * (index + 2));
  }
  return bytes;
}

interface Head {
  readonly magic: number;
  readonly version: number;
  readonly blockSize: number;
  readonly blocks: bigint;
  readonly sequence: bigint;
}

/** An origin full of 0xee and a cache, and their target. */
function load(bytes: Uint8Array, options: { readonly args?: string; readonly bad?: number } = {}) {
  const { args = "s origin cache 4096 0", bad } = options;
  const leaves = new Map(
    ["origin", "cache"].map((name) => [
      name,
      createMemoryDevice({ size: 40_960, name, poisonUnit: 64 }),
    ]),
  );
  const leaf = (name: string): SimulatedDevice => leaves.get(name) as SimulatedDevice;
  leaf("origin").write(new Uint8Array(40_960).fill(0xee), 0);
  leaf("cache").write(bytes, 0);
  if (bad !== undefined) leaf("cache").inject({ offset: bad, length: 1 });
  const rows = loadTable(parseTable(`0 64 writecache ${args}`, "t"), { path: "t", lookup: leaf });
  const after = (): Uint8Array => {
    const all = new Uint8Array(40_960);
    leaf("cache").readSync(all, 0);
    return all;
  };
  expect(activateRows(rows)).toBeUndefined();
  return { device: mappedDevice(rows, { name: "t" }) as MappedManagedDevice, leaf, after };
}

/** First byte of each block of the target; -1 where it is missing. */
async function blocksOf(device: MappedManagedDevice): Promise<number[]> {
  const bytes = new Uint8Array(device.size);
  const { missing } = await device.read(bytes, 0);
  return Array.from({ length: 8 }, (_, block) =>
    missing.some(({ offset, length }) => offset <= block * 4096 && block * 4096 < offset + length)
      ? -1
      : (bytes[block * 4096] as number),
  );
}

describe("loadCache()", () => {
  test.each([
    [
      { magic: 0x1234_5678 },
      "Invalid magic in the superblock: want 0x23489321, or zeros for a new cache: got 0x12345678",
    ],
    [{ magic: 0 }, "Invalid magic in the superblock"],
    [{ version: 2 }, "Invalid version in the superblock: want 1: got 2"],
    [{ blockSize: 512 }, "Block size does not match superblock: want 512: got 4096"],
    [{ blocks: 9n + 1n }, "Memory area is too small"],
    [{ blocks: 2n ** 40n }, "Memory area is too small"],
    [{ blocks: FREE }, "Overflow in size calculation"],
    [{ sequence: FREE }, "Overflow in size calculation"],
  ] as [Partial<Head>, string][])("a superblock with %o is EBADMSG: %s", (head, message) => {
    const bytes = cacheBytes([], head);
    expect(() => load(bytes)).toThrow(StorageError);
    expect(() => load(bytes)).toThrow(message);
  });

  test("the newest committed entry counts; what is uncommitted or older does not, and nothing is written for that", async () => {
    const bytes = cacheBytes([
      [0n, 3n],
      [8n, 9n],
      [0n, 5n],
      [8n, 10n],
      [16n, 12n],
      [24n, 1n],
      [24n, 0n],
    ]);
    const { device, after } = load(bytes);
    expect(await blocksOf(device)).toEqual([3, 2, 0xee, 6, 0xee, 0xee, 0xee, 0xee]);
    await device.close();
    expect(Buffer.compare(after(), bytes)).toBe(0);
  });

  test("what a crash left uncommitted or older never comes back, whatever is committed and written back later", async () => {
    const { device, leaf, after } = load(
      cacheBytes([
        [0n, 3n],
        [0n, 5n],
        [16n, 10n],
      ]),
    );
    await device.write(new Uint8Array(4096).fill(77), 4096);
    await device.flush();
    expect(await blocksOf(load(after()).device)).toEqual([
      2, 77, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
    ]);
    const row = device.rows[0]?.target;
    if (row?.kind === "device") await row.message?.(["flush"]);
    const again = load(after());
    expect(await blocksOf(again.device)).toEqual(Array.from({ length: 8 }, () => 0xee));
    const origin = new Uint8Array(8192);
    leaf("origin").readSync(origin, 0);
    expect([origin[0], origin[4096]]).toEqual([2, 77]);
  });

  test("two entries that say the same of one block are EBADMSG", () => {
    expect(() =>
      load(
        cacheBytes([
          [8n, 4n],
          [8n, 4n],
        ]),
      ),
    ).toThrow("two identical entries, position 1, sector 8, sequence 4");
  });

  test("an entry at half a block is EBADMSG", () => {
    expect(() => load(cacheBytes([[9n, 4n]]))).toThrow(
      "entry 0 of the cache: want a sector that divides by 8: got 9",
    );
  });

  test("an entry past the end of the target shows nowhere and stays in the cache", async () => {
    const { device, after } = load(
      cacheBytes([
        [64n, 4n],
        [FREE, 4n],
        [72n, 1n],
      ]),
    );
    for (let round = 0; round < 4; round += 1)
      await device.write(new Uint8Array(32_768).fill(9), 0);
    await device.flush();
    await device.close();
    expect(after()[4096]).toBe(1);
    expect(after()[4096 * 3]).toBe(3);
    expect(Buffer.from(after()).readBigUInt64LE(64)).toBe(64n);
    expect(Buffer.from(after()).readBigUInt64LE(64 + 16 + 8)).toBe(4n);
  });

  test("R1: an entry that cannot be read refuses the row, and names entry, place and wish", () => {
    const bytes = cacheBytes([[0n, 3n]]);
    expect(() => load(bytes, { bad: 130 })).toThrow(StorageError);
    expect(() => load(bytes, { bad: 130 })).toThrow(
      "hardware memory error when reading metadata entry 4: want every entry readable, or the word origin_unread",
    );
    expect(() => load(bytes, { bad: 130 })).toThrow(
      "got 4 unreadable of 8, the first at byte 128 of cache",
    );
  });

  test("R1: origin_unread gives up what no readable entry names, serves what one does, and takes no write", async () => {
    const args = "s origin cache 4096 1 origin_unread";
    const { device } = load(
      cacheBytes([
        [0n, 3n],
        [16n, 4n],
      ]),
      { args, bad: 130 },
    );
    expect(await blocksOf(device)).toEqual([1, -1, 2, -1, -1, -1, -1, -1]);
    expect(device.poison.totals()).toMatchObject({ lost: 6 * 4096, poisoned: 0 });
    expect(device.capabilities.readOnly).toBe(true);
    expect(() => device.write(new Uint8Array(512), 0)).toThrow("EACCES");
    await device.close();
  });

  test("origin_unread loses nothing where every entry can be read", async () => {
    const { device } = load(cacheBytes([[0n, 3n]]), {
      args: "s origin cache 4096 1 origin_unread",
    });
    expect(await blocksOf(device)).toEqual([1, ...Array.from({ length: 7 }, () => 0xee)]);
  });

  test("a superblock that cannot be read refuses the row; bytes of it that say nothing do not", async () => {
    expect(() => load(cacheBytes([]), { bad: 0 })).toThrow(
      "Hardware memory error when reading superblock",
    );
    const { device } = load(cacheBytes([[0n, 3n]]), { bad: 4000 });
    expect((await blocksOf(device))[0]).toBe(1);
  });

  test("a mutated cache is loaded or refused with a message, and then reads and closes", async () => {
    const prng = createPrng(seed);
    const count = Number(process.env["CACHE_MUTATIONS"] ?? 2000);
    let taken = 0;
    for (let turn = 0; turn < count; turn += 1) {
      const bytes = cacheBytes([
        [0n, 3n],
        [8n, 9n],
        [0n, 5n],
        [16n, 12n],
      ]);
      for (let change = 1 + prng.below(4); change > 0; change -= 1) {
        const at = prng.below(prng.chance(0.5) ? 32 : 64 + 8 * 16);
        bytes.set(prng.chance(0.5) ? prng.bytes(1) : [prng.pick([0, 1, 255, 128])], at);
      }
      try {
        const { device } = load(bytes);
        taken += 1;
        await blocksOf(device);
        await device.write(prng.bytes(9000), prng.below(20_000));
        await device.close();
      } catch (error) {
        if (!(error instanceof StorageError) || error.code !== "EBADMSG") throw error;
      }
    }
    expect(taken).toBeGreaterThan(0);
  });
});
