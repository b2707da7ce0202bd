/** scanFastCommits(): areas made by hand, whole, cut off, left over, poisoned and random. */
import { describe, expect, test } from "vitest";
import { createPrng, crc32c, type BadRange } from "../../../src/base/index.ts";
import { scanFastCommits, type FastCommits } from "../../../src/fs/ext4/fast-commit.ts";
import type { JournalSuperblock } from "../../../src/fs/ext4/journal-superblock.ts";

const BLOCK = 1024;
const TRANSACTION = 42;
const seed = Number(process.env["SEED"] ?? 3);
const JOURNAL: JournalSuperblock = {
  length: 72,
  first: 1,
  last: 64,
  sequence: 40,
  start: 1,
  wide: true,
  asyncCommit: false,
  fastCommit: true,
  checksum: 3,
  seed: 1,
};

/** Writes the area as the kernel does: every fast commit fills its block up to the end. */
class AreaWriter {
  readonly blocks = new Map<number, Uint8Array>();
  #place = JOURNAL.last + 1;
  #at = 0;
  #sum = 0;

  tag(tag: number, value: Uint8Array): void {
    const block = this.#block();
    const view = new DataView(block.buffer);
    view.setUint16(this.#at, tag, true);
    view.setUint16(this.#at + 2, value.length, true);
    block.set(value, this.#at + 4);
    this.#sum = crc32c(block.subarray(this.#at, this.#at + 4 + value.length), this.#sum);
    this.#at += 4 + value.length;
  }

  words(tag: number, words: readonly number[]): void {
    this.tag(tag, new Uint8Array(Uint32Array.from(words).buffer));
  }

  /** The tail's value runs to the end of its block. */
  tail(transaction = TRANSACTION, damage = 0): void {
    const block = this.#block();
    const view = new DataView(block.buffer);
    view.setUint16(this.#at, 8, true);
    view.setUint16(this.#at + 2, BLOCK - this.#at - 4, true);
    view.setUint32(this.#at + 4, transaction, true);
    view.setUint32(
      this.#at + 8,
      crc32c(block.subarray(this.#at, this.#at + 8), this.#sum) ^ damage,
      true,
    );
    this.#place += 1;
    this.#at = 0;
    this.#sum = 0;
  }

  async scan(bad: ReadonlySet<number> = new Set()): Promise<FastCommits> {
    const hole: BadRange = { offset: 0, length: BLOCK, state: "poisoned" };
    return scanFastCommits(JOURNAL, TRANSACTION, async (place) => ({
      bytes: this.blocks.get(place) ?? new Uint8Array(BLOCK),
      bad: bad.has(place) ? [hole] : [],
    }));
  }

  #block(): Uint8Array {
    const block = this.blocks.get(this.#place) ?? new Uint8Array(BLOCK);
    this.blocks.set(this.#place, block);
    return block;
  }
}

function twoCommits(damage = 0): AreaWriter {
  const area = new AreaWriter();
  area.words(9, [0, TRANSACTION]);
  area.words(6, [12, 0, 0, 0]);
  // 5 written blocks at 0x1_0000_1000
  area.words(1, [12, 0, 5 | (1 << 16), 0x1000]);
  area.tail();
  area.words(9, [0, TRANSACTION]);
  area.tag(3, new Uint8Array([2, 0, 0, 0, 13, 0, 0, 0, 0x61]));
  area.words(2, [14, 0, 1]);
  area.tail(TRANSACTION, damage);
  return area;
}

describe("scanFastCommits", () => {
  test("scanFastCommits() names every inode that whole fast commits touch, and the blocks they give", async () => {
    const found = await twoCommits().scan();
    expect([...found.inodes].sort((one, other) => one - other)).toEqual([2, 12, 13, 14]);
    expect(found.blocks).toEqual([{ block: 2 ** 32 + 0x1000, count: 5, inode: 12 }]);
    expect(found.broken).toBeUndefined();
  });

  test("scanFastCommits() drops a last commit that was cut off, and calls a wrong first one broken", async () => {
    expect([...(await twoCommits(1).scan()).inodes]).toEqual([12]);
    const area = new AreaWriter();
    area.words(9, [0, TRANSACTION]);
    area.words(6, [12, 0, 0, 0]);
    area.tail(TRANSACTION, 1);
    expect(await area.scan()).toMatchObject({
      broken: "the first fast commit has a wrong checksum",
    });
  });

  test("scanFastCommits() ignores what another transaction left over", async () => {
    const area = new AreaWriter();
    area.words(9, [0, TRANSACTION - 1]);
    area.words(6, [12, 0, 0, 0]);
    area.tail(TRANSACTION - 1);
    const found = await area.scan();
    expect(found.inodes.size).toBe(0);
    expect(found.broken).toBeUndefined();
  });

  test("R1: scanFastCommits() says where poison hides fast commits", async () => {
    expect((await twoCommits().scan(new Set([65]))).broken).toMatch(/unreadable/);
    expect((await twoCommits().scan(new Set([66]))).broken).toMatch(/unreadable/);
  });

  test("scanFastCommits() ends on random bytes behind a right head", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    for (let round = 0; round < 200; round += 1) {
      const area = twoCommits();
      for (const block of area.blocks.values()) {
        for (let count = 1 + prng.below(6); count > 0; count -= 1)
          block[12 + prng.below(60)] = prng.below(256);
      }
      const found = await area.scan();
      expect(found.inodes.size).toBeLessThan(1000);
    }
  });
});
