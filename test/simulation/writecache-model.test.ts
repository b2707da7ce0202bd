/**
 * Random calls to cached origins beside plain arrays of bytes and flags: writes, heals, clears, flushes, openings, blocks written back, and
 * poison in blocks of the cache that are in use and that are free, in its entries, and at the origin beneath and beside what is cached. Where a byte
 * is kept is read from the cache's own bytes, by a second reader of the format. After each step every byte has the arrays' value and state.
 */
import { strict as assert } from "node:assert";
import { expect, test } from "vitest";
import { alignOut, createPrng, endOf, type ByteRange, type Prng } from "../../src/base/index.ts";
import { randomSeed } from "../base/seed.ts";
import { CacheStack, decodeCache, type CacheStackOptions } from "../mapper/support/cache-stack.ts";

const seed = randomSeed();
const CASES = Number(process.env["CASES"] ?? 40);
const STEPS = 60;
const SIZE = 32_768;

const UNITS = [
  { poisonUnit: 64, clearUnit: 256, clear: "firmware" },
  { poisonUnit: 512, clearUnit: 512, clear: "atomic" },
  { poisonUnit: 512, clearUnit: 512, clear: "overwrite" },
] as const;

function randomOptions(prng: Prng): CacheStackOptions {
  const blockSize = prng.pick([512, 1024, 4096]);
  const words = prng.pick([
    "0",
    "4 high_watermark 100 low_watermark 100",
    "4 high_watermark 30 low_watermark 20",
    "2 autocommit_blocks 3",
    "2 start_sector 40",
    "4 start_sector 48 autocommit_blocks 1",
    "1 metadata_only",
  ]);
  return {
    ...prng.pick(UNITS),
    args: `${prng.pick(["s", "p"])} origin cache ${blockSize} ${words}`,
    sectors: SIZE / 512,
    leafSize: prng.pick([36_864, 49_152]),
    checked: prng.chance(0.3),
    late: prng.chance(0.2),
  };
}

/** The arrays. */
class CacheModel {
  readonly content = new Uint8Array(SIZE);
  readonly bad = new Uint8Array(SIZE);

  write(offset: number, data: Uint8Array): void {
    this.content.set(data, offset);
    this.bad.fill(0, offset, offset + data.length);
  }

  /** Whether every bad byte of a write lies in a unit that it covers whole; a disk minds what is bad beside the write too. */
  heals(range: ByteRange, { clear, clearUnit = 512 }: CacheStackOptions): boolean {
    const reach = clear === "overwrite" ? alignOut(range, clearUnit) : range;
    for (let at = reach.offset; at < endOf(reach); at += 1) {
      if (this.bad[at] === 0) continue;
      const unit = alignOut({ offset: at, length: 1 }, clearUnit);
      if (unit.offset < range.offset || endOf(unit) > endOf(range)) return false;
    }
    return true;
  }
}

/** One run. */
class Run {
  readonly prng: Prng;
  readonly stack: CacheStack;
  readonly model = new CacheModel();
  readonly options: CacheStackOptions;
  readonly start: number;

  constructor(prng: Prng) {
    this.prng = prng;
    this.options = randomOptions(prng);
    this.start = Number(/start_sector (\d+)/.exec(this.options.args ?? "")?.[1] ?? 0) * 512;
    this.stack = new CacheStack(this.options);
  }

  range(): ByteRange {
    const { prng } = this;
    const unit = prng.pick([1, 64, 512, 4096]);
    const offset = prng.below(SIZE / unit) * unit;
    const most = prng.pick([600, 4096, SIZE]);
    return { offset, length: Math.min(SIZE - offset, (1 + prng.below(most / unit)) * unit) };
  }

  async step(): Promise<string> {
    const { prng, stack, model } = this;
    const range = this.range();
    const name = `${range.offset}+${range.length}`;
    switch (prng.below(10)) {
      case 0:
      case 1:
      case 2:
        return `write ${name} ${await this.#write(range)}`;
      case 3: {
        const data = prng.bytes(range.length);
        assert.deepEqual(await stack.top.heal([{ offset: range.offset, data }]), [undefined]);
        model.write(range.offset, data);
        return `heal ${name}`;
      }
      case 4:
        await stack.top.flush();
        return "flush";
      case 5:
        await stack.reopen();
        return "reopen";
      case 6:
        await stack.message("flush").catch((error: unknown) => {
          // what is bad stays
          assert.ok(model.bad.includes(1), String(error));
        });
        return "write back";
      case 7: {
        const state = prng.pick(["lost", "poisoned"] as const);
        stack.top.recordBad(range, state);
        model.bad.fill(1, range.offset, endOf(range));
        return `mark ${name}`;
      }
      default:
        return await this.#inject();
    }
  }

  async #write(range: ByteRange): Promise<string> {
    const { prng, stack, model } = this;
    const mode = prng.pick(["access", "access", "recovery"] as const);
    const data = prng.bytes(range.length);
    const works = mode === "recovery" || model.heals(range, this.options);
    const done = await Promise.resolve(stack.top)
      .then((top) => top.write(data, range.offset, mode))
      .then(
        () => true,
        () => false,
      );
    assert.equal(done, works, `${mode} ${range.offset}+${range.length}`);
    if (works) model.write(range.offset, data);
    return mode;
  }

  /** Whether there is a cache yet. */
  get #isMade(): boolean {
    return this.stack.leaf("cache").poison.empty
      ? Buffer.from(this.stack.cacheBytes(this.start, 512)).readUInt32LE(0) !== 0
      : true;
  }

  /** Poisons a unit of a leaf; which byte of the target that is, the cache's bytes say. Poison in entries comes while the cache is open, which knows them. */
  async #inject(): Promise<string> {
    const { prng, stack, model } = this;
    await stack.top.flush();
    const name = prng.pick(["origin", "cache"]);
    const leaf = stack.leaf(name);
    const { poisonUnit = 512 } = this.options;
    const units = Math.floor(leaf.size / poisonUnit);
    const unit = { offset: prng.below(units) * poisonUnit, length: poisonUnit };
    // the flush wrote again, from memory, what an earlier step poisoned of the entries; before the first write there are none
    const none = { blockSize: 512, data: leaf.size, blocks: new Map<number, number>() };
    const decoded = this.#isMade ? decodeCache(stack, this.start) : none;
    if (name === "cache" && !this.#isMade) return "nothing";
    leaf.inject(unit);
    const { blocks, blockSize } = decoded;
    if (name === "origin") {
      for (let at = unit.offset; at < Math.min(endOf(unit), SIZE); at += 1) {
        const first = (at - (at % blockSize)) / 512;
        if (!blocks.has(first)) model.bad[at] = 1;
      }
    } else {
      for (const [sector, place] of blocks) {
        for (let at = unit.offset; at < endOf(unit); at += 1)
          if (at >= place && at < place + blockSize) model.bad[sector * 512 + at - place] = 1;
      }
    }
    return `poison ${name} ${unit.offset}`;
  }

  async check(where: string): Promise<void> {
    const { stack, model } = this;
    const into = new Uint8Array(SIZE).fill(0xa5);
    const { missing } = await stack.top.read(into, 0);
    const gone = new Uint8Array(SIZE);
    for (const hole of missing) gone.fill(1, hole.offset, endOf(hole));
    const listed = new Uint8Array(SIZE);
    for (const bad of stack.top.poison.bad({ offset: 0, length: SIZE }))
      listed.fill(1, bad.offset, endOf(bad));
    for (let at = 0; at < SIZE; at += 1) {
      const bad = model.bad[at];
      if (gone[at] !== bad || listed[at] !== bad)
        assert.fail(`R1: ${where}: byte ${at} is ${gone[at]}, listed ${listed[at]}, want ${bad}`);
      if (bad === 0 && into[at] !== model.content[at])
        assert.fail(`R2: ${where}: byte ${at} is ${into[at]}, want ${model.content[at]}`);
    }
    const { total, poisoned, lost } = stack.top.poison.totals();
    const bad = model.bad.reduce((sum, one) => sum + one, 0);
    assert.deepEqual([total, poisoned + lost], [SIZE, bad], "R7");
    assert.equal(stack.top.poison.empty, bad === 0, "R6");
  }
}

for (let number = 0; number < CASES; number += 1) {
  const own = seed + number;
  test(`R1, R2, R4, R7: a cached origin does what arrays do: ${own}`, async () => {
    const run = new Run(createPrng(own));
    const done: string[] = [run.options.args ?? ""];
    for (let step = 0; step < STEPS; step += 1) {
      done.push(await run.step());
      await run.check(done.slice(-12).join(" · "));
    }
    expect(done).toHaveLength(STEPS + 1);
  });
}
