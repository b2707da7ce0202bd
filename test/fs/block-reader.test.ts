/** BlockReader and Problems: reads against a plain array, under poison, overlays and cut-off ends. */
import { describe, expect, test } from "vitest";
import { createPrng, isPromise, type BadRange, type Prng } from "../../src/base/index.ts";
import { BlockReader, type Overlay, type OverlayEntry } from "../../src/fs/block-reader.ts";
import { MAX_PROBLEMS, Problems } from "../../src/fs/problems.ts";
import type { BlockRead } from "../../src/fs/block-reader.ts";
import { later, memorySource, poisoned } from "./ext4/scratch.ts";

const BLOCK = 1024;
const BLOCKS = 100;
const seed = Number(process.env["SEED"] ?? 7);

function overlayOf(entries: ReadonlyMap<number, OverlayEntry>): Overlay {
  return { empty: entries.size === 0, find: (block) => entries.get(block) };
}

/** One state per byte: its value, or -1 where it is bad. */
function stateOf(read: BlockRead): Int16Array {
  const states = Int16Array.from(read.bytes);
  for (const range of read.bad) states.fill(-1, range.offset, range.offset + range.length);
  return states;
}

/** Whether what is bad is zero in the bytes. */
function zeroWhereBad(read: BlockRead): boolean {
  return read.bad.every(({ offset, length }) =>
    read.bytes.subarray(offset, offset + length).every((byte) => byte === 0),
  );
}

function randomEntry(prng: Prng): OverlayEntry {
  const kind = prng.below(3);
  if (kind === 0) return { kind: "bad" };
  if (kind === 1) return { kind: "bytes", bytes: prng.bytes(BLOCK) };
  return { kind: "block", block: prng.below(BLOCKS - 1), escaped: prng.chance(0.5) };
}

/** States of a block by its entry; `below` are the states of the device. */
function entryStates(entry: OverlayEntry, below: Int16Array): Int16Array {
  if (entry.kind === "bad") return new Int16Array(BLOCK).fill(-1);
  if (entry.kind === "bytes") return Int16Array.from(entry.bytes);
  const states = below.slice(entry.block * BLOCK, (entry.block + 1) * BLOCK);
  if (entry.escaped) states.set([0xc0, 0x3b, 0x39, 0x98]);
  return states;
}

/** A volume with random poison and overlay, and the state of each byte. */
function randomVolume(prng: Prng): { readonly reader: BlockReader; readonly states: Int16Array } {
  const bytes = prng.bytes(BLOCK * BLOCKS - prng.below(BLOCK));
  const bad: BadRange[] = [];
  for (let at = prng.below(3000); at < bytes.length - 4096; at += 500 + prng.below(20_000))
    bad.push(poisoned(at, 1 + prng.below(400)));
  const below = new Int16Array(BLOCK * BLOCKS).fill(-1);
  below.set(bytes);
  for (const range of bad) below.fill(-1, range.offset, range.offset + range.length);
  const states = below.slice();
  const entries = new Map<number, OverlayEntry>();
  for (let count = prng.below(20); count > 0; count -= 1)
    entries.set(prng.below(BLOCKS), randomEntry(prng));
  for (const [block, entry] of entries) states.set(entryStates(entry, below), block * BLOCK);
  const source = memorySource(bytes, bad);
  const reader = new BlockReader(prng.chance(0.5) ? source : later(source), BLOCK, {
    cacheBytes: 64 * 1024,
  });
  reader.overlay = overlayOf(entries);
  return { reader, states };
}

describe("BlockReader", () => {
  test("R1: readBlocks() agrees with a plain array over random poison, overlays and cut-off ends", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    for (let round = 0; round < 20; round += 1) {
      const { reader, states } = randomVolume(prng);
      for (let step = 0; step < 40; step += 1) {
        const block = prng.below(BLOCKS);
        const count =
          1 + prng.below(prng.chance(0.2) ? BLOCKS - block : Math.min(4, BLOCKS - block));
        const read = await reader.readBlocks(block, count);
        expect(zeroWhereBad(read)).toBe(true);
        const want = states.subarray(block * BLOCK, (block + count) * BLOCK);
        expect(stateOf(read).findIndex((state, at) => state !== want[at])).toBe(-1);
      }
    }
  });

  test("readBlocks() answers at once where the source does, and asks it once for what it remembers", () => {
    let asked = 0;
    const plain = memorySource(new Uint8Array(64 * BLOCK));
    const reader = new BlockReader(
      { size: plain.size, read: (into, offset) => ((asked += 1), plain.read(into, offset)) },
      BLOCK,
    );
    expect(isPromise(reader.readBlocks(3, 1))).toBe(false);
    void reader.readBlocks(4, 1);
    void reader.readBlocks(5, 2);
    expect(asked).toBe(1);
  });

  test("readBlocks() gives two tasks that read at once each its own bytes", async () => {
    const bytes = createPrng(seed).bytes(512 * BLOCK);
    const reader = new BlockReader(later(memorySource(bytes)), BLOCK);
    const reads = await Promise.all([
      reader.readBlocks(0, 100),
      reader.readBlocks(100, 100),
      reader.readBlocks(200, 100),
    ]);
    for (const [index, read] of reads.entries()) {
      expect(
        Buffer.compare(read.bytes, bytes.subarray(index * 100 * BLOCK, (index + 1) * 100 * BLOCK)),
      ).toBe(0);
    }
  });
});

describe("Problems", () => {
  test("Problems keeps a bounded number and says how many were dropped", () => {
    const problems = new Problems();
    for (let count = 0; count < MAX_PROBLEMS + 5; count += 1)
      problems.add({ message: `problem ${count}` });
    expect(problems.list).toHaveLength(MAX_PROBLEMS + 1);
    expect(problems.list.at(-1)?.message).toMatch(/^5 more/);
  });
});
