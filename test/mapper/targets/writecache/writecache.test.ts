/** writecache: what poison of cache and origin means in the target, what is written when, messages, and places up and down. */
import { describe, expect, test } from "vitest";
import { endOf, isPromise, type BadRange } from "../../../../src/base/index.ts";
import { addressesAbove, walkDown } from "../../../../src/mapper/index.ts";
import { faulty } from "../../../../src/mapper/faulty.ts";
import { CacheStack, decodeCache } from "../../support/cache-stack.ts";

const SIZE = 32_768;
const ALL = { offset: 0, length: SIZE };
const KEEP = "4 high_watermark 100 low_watermark 100";

/** A stack whose origin is full of 0xee, and then written whole blocks of `value` at block numbers. */
async function stackOf(
  args: string,
  writes: readonly (readonly [block: number, value: number])[] = [],
): Promise<CacheStack> {
  const stack = new CacheStack({ args });
  stack.leaf("origin").write(new Uint8Array(40_960).fill(0xee), 0);
  for (const [block, value] of writes)
    await stack.top.write(new Uint8Array(4096).fill(value), block * 4096);
  await stack.top.flush();
  return stack;
}

async function valuesOf({
  top,
}: CacheStack): Promise<{ values: number[]; missing: readonly BadRange[] }> {
  const bytes = new Uint8Array(SIZE);
  const { missing } = await top.read(bytes, 0, "recovery");
  for (const { offset, length } of missing) bytes.fill(0, offset, offset + length);
  return {
    values: Array.from({ length: 8 }, (_, block) => bytes[block * 4096] as number),
    missing,
  };
}

/** Where the cache keeps a block of the origin. */
function placeOf(stack: CacheStack, block: number): number {
  return decodeCache(stack).blocks.get(block * 8) as number;
}

describe.each(["s", "p"])("writecache, mode %s", (mode) => {
  test("R1: a bad byte of a dirty block is bad in the target, and the stale origin is served in no mode", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [[2, 7]]);
    stack.leaf("cache").inject({ offset: placeOf(stack, 2) + 512, length: 64 });
    const bad = { offset: 2 * 4096 + 512, length: 64, state: "poisoned" };
    for (const access of ["access", "recovery", "failFast"] as const) {
      const { missing } = await stack.top.read(new Uint8Array(4096), 2 * 4096, access);
      expect(missing[0]).toMatchObject(access === "failFast" ? { offset: bad.offset } : bad);
    }
    expect([...stack.top.poison.bad(ALL)]).toEqual([bad]);
    await stack.message("flush").catch(() => undefined);
    await stack.reopen();
    expect((await valuesOf(stack)).missing).toEqual([bad]);
  });

  test("inject() makes bytes bad where they are kept now, and heals with the block", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [[2, 7]]);
    const target = faulty(stack.top);
    expect(target.inject({ offset: 2 * 4096 - 64, length: 128 })).toEqual({
      offset: 2 * 4096 - 64,
      length: 128,
    });
    const bad = [{ offset: 2 * 4096 - 64, length: 128, state: "poisoned" }];
    expect([...stack.top.poison.bad(ALL)]).toEqual(bad);
    const inOrigin = [...stack.leaf("origin").poison.bad({ offset: 0, length: 8 * 4096 })];
    expect(inOrigin).toEqual([{ offset: 2 * 4096 - 64, length: 64, state: "poisoned" }]);
    const inCache = [
      ...stack.leaf("cache").poison.bad({ offset: placeOf(stack, 2), length: 4096 }),
    ];
    expect(inCache).toEqual([{ offset: placeOf(stack, 2), length: 64, state: "poisoned" }]);
    await stack.top.write(new Uint8Array(8192).fill(9), 4096);
    expect([...stack.top.poison.bad(ALL)]).toEqual([]);
  });

  test("R4: a write of the whole block heals it, durably, and so does recovery", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [[2, 7]]);
    stack.leaf("cache").inject({ offset: placeOf(stack, 2) + 512, length: 64 });
    await stack.top.write(new Uint8Array(4096).fill(9), 2 * 4096);
    stack.abandon();
    expect(await valuesOf(stack)).toEqual({
      values: [0xee, 0xee, 9, 0xee, 0xee, 0xee, 0xee, 0xee],
      missing: [],
    });
    stack.leaf("cache").inject({ offset: placeOf(stack, 2), length: 64 });
    await stack.top.write(new Uint8Array(64).fill(5), 2 * 4096, "recovery");
    stack.abandon();
    expect((await valuesOf(stack)).values[2]).toBe(5);
  });

  test("R4: a heal in a block that nobody flushed is durable, and so the block", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`);
    await stack.top.write(new Uint8Array(4096).fill(7), 0);
    stack.leaf("cache").inject({ offset: 4096, length: 64 });
    expect([...stack.top.poison.bad(ALL)]).toHaveLength(1);
    expect(await stack.top.heal([{ offset: 0, data: new Uint8Array(64).fill(8) }])).toEqual([
      undefined,
    ]);
    stack.abandon();
    const bytes = new Uint8Array(128);
    await stack.top.read(bytes, 0);
    expect([bytes[0], bytes[127]]).toEqual([8, 7]);
  });

  test("S41: a bad block of the cache that was written back costs nothing, where Linux refuses the row", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [
      [2, 7],
      [5, 8],
    ]);
    const places = [placeOf(stack, 2), placeOf(stack, 5)];
    await stack.message("flush");
    for (const offset of places) stack.leaf("cache").inject({ offset, length: 4096 });
    expect(await valuesOf(stack)).toEqual({
      values: [0xee, 0xee, 7, 0xee, 0xee, 8, 0xee, 0xee],
      missing: [],
    });
    expect(stack.top.poison.empty).toBe(true);
    await stack.reopen();
    expect(stack.top.poison.totals()).toMatchObject({ poisoned: 0, lost: 0 });
  });

  test("a free block that is poisoned is healed when it is taken", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [[0, 1]]);
    const cache = stack.leaf("cache");
    cache.inject({ offset: 4096, length: cache.size - 4096 });
    cache.setFault({ offset: 3 * 4096, length: 4096, kind: "refuses", on: true });
    for (let block = 0; block < 8; block += 1)
      await stack.top.write(new Uint8Array(4096).fill(block + 20), block * 4096);
    await stack.top.flush();
    expect((await valuesOf(stack)).values).toEqual([20, 21, 22, 23, 24, 25, 26, 27]);
    await stack.reopen();
    expect((await valuesOf(stack)).values).toEqual([20, 21, 22, 23, 24, 25, 26, 27]);
  });

  test("poison of the origin is nobody's beneath a cached block, and bad beside it", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [[2, 7]]);
    stack.leaf("origin").inject({ offset: 2 * 4096 - 64, length: 128 });
    expect([...stack.top.poison.bad(ALL)]).toEqual([
      { offset: 2 * 4096 - 64, length: 64, state: "poisoned" },
    ]);
    await stack.message("flush");
    // written back, the block healed what was beneath it
    expect([...stack.top.poison.bad(ALL)]).toEqual([
      { offset: 2 * 4096 - 64, length: 64, state: "poisoned" },
    ]);
    expect((await valuesOf(stack)).values[2]).toBe(7);
  });

  test("a write into a block of the origin that is bad elsewhere goes to the origin: a block of the cache hides no bad byte", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`);
    stack.leaf("origin").inject({ offset: 4096, length: 64 }, { latent: true });
    await stack.top.write(new Uint8Array(100).fill(3), 4096 + 1000);
    expect([...stack.top.poison.bad(ALL)]).toEqual([
      { offset: 4096, length: 64, state: "poisoned" },
    ]);
    const bytes = new Uint8Array(100);
    stack.leaf("origin").readSync(bytes, 4096 + 1000);
    expect(bytes.every((byte) => byte === 3)).toBe(true);
  });

  test("R5: blocks that the origin refuses stay in the cache, and the message flush says which", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [
      [1, 4],
      [2, 7],
      [3, 9],
    ]);
    const origin = stack.leaf("origin");
    origin.inject({ offset: 2 * 4096, length: 256 });
    origin.setFault({ offset: 2 * 4096, length: 256, kind: "refuses", on: true });
    await expect(stack.message("flush")).rejects.toMatchObject({
      code: "EIO",
      ranges: [{ offset: 2 * 4096, length: 4096 }],
    });
    expect((await valuesOf(stack)).values.slice(0, 4)).toEqual([0xee, 4, 7, 9]);
    expect([...decodeCache(stack).blocks.keys()]).toEqual([16]);
  });

  test("entries that go bad while the cache is open are written again from memory", async () => {
    const stack = await stackOf(`${mode} origin cache 4096 ${KEEP}`, [
      [1, 4],
      [2, 7],
    ]);
    stack.leaf("cache").inject({ offset: 0, length: 4096 });
    await stack.top.flush();
    expect(stack.leaf("cache").poison.empty).toBe(true);
    await stack.reopen();
    expect((await valuesOf(stack)).values.slice(0, 4)).toEqual([0xee, 4, 7, 0xee]);
  });
});

describe("writecache", () => {
  test("a new cache is made by the first write that it takes, not before", async () => {
    const stack = await stackOf("s origin cache 4096 0");
    await valuesOf(stack);
    await stack.reopen();
    expect(stack.cacheBytes(0, 512).every((byte) => byte === 0)).toBe(true);
    await stack.top.write(new Uint8Array(1), 5);
    expect(Buffer.from(stack.cacheBytes(0, 512)).readUInt32LE(0)).toBe(0x2348_9321);
  });

  test("mode p: a crash leaves of a block that was committed the old or the new, whole", async () => {
    const stack = await stackOf(`p origin cache 4096 ${KEEP}`, [[0, 7]]);
    await stack.top.write(new Uint8Array(2000).fill(9), 100);
    stack.abandon();
    const bytes = new Uint8Array(4096);
    await stack.top.read(bytes, 0);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
  });

  test("autocommit_blocks: so many blocks are committed without a flush", async () => {
    const stack = await stackOf("p origin cache 4096 2 autocommit_blocks 2");
    for (const block of [0, 1, 2])
      await stack.top.write(new Uint8Array(4096).fill(block + 1), block * 4096);
    stack.abandon();
    expect((await valuesOf(stack)).values.slice(0, 3)).toEqual([1, 2, 0xee]);
  });

  test("the high watermark starts writing back, the low one ends it", async () => {
    const stack = await stackOf("s origin cache 4096 4 high_watermark 60 low_watermark 30");
    const unused = (): number => Number(stack.target.status?.().split(" ")[2]);
    const counts = [];
    for (let block = 0; block < 8; block += 1) {
      await stack.top.write(new Uint8Array(4096).fill(block), block * 4096);
      counts.push(unused());
    }
    // 9 blocks: at 4 unused (round(9 * 40 %)) it begins, at more than 6 (round(9 * 70 %)) it ends
    expect(counts).toEqual([8, 7, 6, 5, 7, 6, 5, 7]);
    expect((await valuesOf(stack)).values).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("messages: cleaner empties the cache and takes nothing new, flush_on_suspend empties it on closing, others are EINVAL", async () => {
    const stack = await stackOf("s origin cache 4096 0", [[1, 4]]);
    await stack.message("CLEANER");
    expect(decodeCache(stack).blocks.size).toBe(0);
    await stack.top.write(new Uint8Array(4096).fill(5), 0);
    await stack.top.flush();
    expect(decodeCache(stack).blocks.size).toBe(0);
    await stack.reopen();
    await stack.top.write(new Uint8Array(4096).fill(6), 0);
    await stack.message("clear_stats");
    await stack.message("flush_on_suspend");
    await stack.reopen();
    expect(decodeCache(stack).blocks.size).toBe(0);
    expect((await valuesOf(stack)).values.slice(0, 2)).toEqual([6, 4]);
    for (const words of [["discard"], ["flush", "now"], [""]])
      await expect(stack.message(...words)).rejects.toMatchObject({ code: "EINVAL" });
  });

  test("metadata_only keeps data out of the cache, and goes on with what is in it", async () => {
    const stack = await stackOf("s origin cache 4096 0", [[1, 4]]);
    const again = new CacheStack({ ...stack.options, args: "s origin cache 4096 1 metadata_only" });
    for (const [name, leaf] of stack.leaves) again.leaves.set(name, leaf);
    await again.reopen();
    await again.top.write(new Uint8Array(8192).fill(5), 0);
    await again.top.flush();
    expect([...decodeCache(again).blocks.keys()]).toEqual([8]);
    expect((await valuesOf(again)).values.slice(0, 3)).toEqual([5, 5, 0xee]);
  });

  test("after a failure in the entries nothing is changed any more, and reads go on", async () => {
    const stack = await stackOf(`s origin cache 4096 ${KEEP}`, [[1, 4]]);
    const cache = stack.leaf("cache");
    await stack.top.write(new Uint8Array(4096).fill(5), 0);
    cache.inject({ offset: 64, length: 64 });
    cache.setFault({ offset: 64, length: 64, kind: "refuses", on: true });
    await expect(async () => await stack.top.flush()).rejects.toMatchObject({ code: "EIO" });
    await expect(async () => await stack.top.write(new Uint8Array(1), 0)).rejects.toThrow(
      "an earlier change of its entries failed; open it again",
    );
    expect(stack.target.status?.()).toMatch(/^-5 /);
    expect((await valuesOf(stack)).values.slice(0, 2)).toEqual([5, 4]);
  });

  test("below() and above(): a cached byte is in the cache, any other at the origin", async () => {
    const stack = await stackOf(`s origin cache 4096 ${KEEP}`, [[2, 7]]);
    const origin = stack.leaf("origin");
    const cache = stack.leaf("cache");
    const place = placeOf(stack, 2);
    expect(walkDown(stack.top, 8195).below[0]).toMatchObject({ device: cache, offset: place + 3 });
    expect(walkDown(stack.top, 4099).below[0]).toMatchObject({ device: origin, offset: 4099 });
    expect(addressesAbove(stack.top, { device: cache, offset: place + 3 })).toEqual([8195]);
    expect(addressesAbove(stack.top, { device: origin, offset: 8195 })).toEqual([]);
    expect(addressesAbove(stack.top, { device: origin, offset: 4099 })).toEqual([4099]);
    expect(addressesAbove(stack.top, { device: cache, offset: 20 })).toEqual([]);
    expect(addressesAbove(stack.top, { device: origin, offset: SIZE + 5 })).toEqual([]);
  });

  test("holeFrom() ends where a block is cached", async () => {
    const stack = new CacheStack({ args: `s origin cache 4096 ${KEEP}` });
    await stack.top.write(new Uint8Array(4096).fill(1), 8192);
    const hole = stack.top.holeFrom?.(0) ?? 0;
    expect(hole).toBeLessThanOrEqual(8192);
  });

  test("it has no direct access, and is not there as one in a table over it", async () => {
    const stack = new CacheStack({ above: { top: "0 16 linear wc 0\n16 8 linear other 0" } });
    expect(stack.top.direct).toBeUndefined();
    expect(isPromise(stack.top.read(new Uint8Array(1), 0))).toBe(false);
    expect(endOf(ALL)).toBe(SIZE);
  });
});
