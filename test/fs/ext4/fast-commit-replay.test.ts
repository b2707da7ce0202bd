/** replayFastCommits() and what it is made of: changes made by hand, and hostile ones. */
import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPrng, type Prng } from "../../../src/base/index.ts";
import type { FastCommitChange } from "../../../src/fs/ext4/fast-commit.ts";
import { ChangedBlocks, FastCommitOverlay } from "../../../src/fs/ext4/fast-commit-blocks.ts";
import { readTree, type FastCommitTree } from "../../../src/fs/ext4/fast-commit-extents.ts";
import { replayFastCommits } from "../../../src/fs/ext4/fast-commit-replay.ts";
import { Geometry } from "../../../src/fs/ext4/geometry.ts";
import { directoryChecksumOk, readEntries } from "../../../src/fs/ext4/directory.ts";
import { inodeLocation, inodeSeed } from "../../../src/fs/ext4/inode.ts";
import { readInode } from "../../../src/fs/ext4/read-inode.ts";
import { openExt4Volume } from "../../../src/fs/ext4/open-volume.ts";
import { openFileMap } from "../../../src/fs/index.ts";
import type { Ext4Volume } from "../../../src/fs/ext4/volume.ts";
import { hasProgram, load, memorySource, Scratch } from "./scratch.ts";

const BLOCK = 1024;
const seed = Number(process.env["SEED"] ?? 11);
const scratch = new Scratch();
afterAll(() => scratch.dispose());

let image: Uint8Array;
let volume: Ext4Volume;
const inodes = { root: 2, directory: 0, first: 0, second: 0 };

beforeAll(async () => {
  if (!hasProgram("mke2fs")) return;
  const tree = scratch.path("tree");
  mkdirSync(tree);
  mkdirSync(`${tree}/d`);
  writeFileSync(`${tree}/d/first`, new Uint8Array(5000).fill(1));
  writeFileSync(`${tree}/d/second`, new Uint8Array(3000).fill(2));
  image = load(scratch.image("base.img", 8 * 2 ** 20, ["-t", "ext4", "-b", "1024", "-d", tree]));
  volume = await openExt4Volume(memorySource(image));
  const map = await openFileMap(memorySource(image));
  inodes.directory = (await map.lookup("/d")) ?? 0;
  inodes.first = (await map.lookup("/d/first")) ?? 0;
  inodes.second = (await map.lookup("/d/second")) ?? 0;
});

type Replayed = Exclude<Awaited<ReturnType<typeof replayFastCommits>>, string>;

async function replay(changes: readonly FastCommitChange[]): Promise<Replayed> {
  const result = await replayFastCommits(volume, new Geometry(volume.superblock), changes);
  if (typeof result === "string") throw new Error(result);
  return result;
}

/** The image as it is after a replay. */
function applied({ blocks }: Replayed): Uint8Array {
  const copy = image.slice();
  for (const [block, bytes] of blocks) copy.set(bytes, block * BLOCK);
  return copy;
}

/** A slot as a fast commit holds it. */
async function rawInode(number: number, change?: (view: DataView) => void): Promise<Uint8Array> {
  const place = inodeLocation(volume, number) as { block: number; offset: number };
  const read = await volume.readBlocks(place.block, 1);
  const raw = (read as { bytes: Uint8Array }).bytes.slice(place.offset, place.offset + 160);
  change?.(new DataView(raw.buffer));
  return raw;
}

async function freeBlock(count: number): Promise<number> {
  for (const run of await volume.allocated(0, volume.superblock.blockCount))
    if (!run.used && run.count >= count) return run.block;
  throw new Error("no free blocks");
}

const name = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

describe.skipIf(!hasProgram("mke2fs"))("replayFastCommits", () => {
  test("replayFastCommits() gives a new file its inode, blocks, bits and name", async () => {
    const block = await freeBlock(7);
    const number = volume.superblock.inodeCount - 3;
    const raw = await rawInode(inodes.first, (view) => view.setUint32(4, 7000, true));
    const result = await replay([
      { kind: "inode", inode: number, raw },
      { kind: "add", inode: number, logical: 0, block, count: 7, unwritten: false },
      { kind: "create", parent: inodes.directory, inode: number, name: name("new") },
    ]);
    expect([...result.unsettled]).toEqual([]);
    const after = applied(result);
    const map = await openFileMap(memorySource(after));
    expect(await map.lookup("/d/new")).toBe(number);
    expect(await map.extents(number)).toEqual([
      { offset: 0, length: 7000, kind: "data", device: block * BLOCK },
    ]);
    const changed = await openExt4Volume(memorySource(after));
    expect(await changed.inodeAllocated(number)).toBe(true);
    expect(await changed.allocated(block, 7)).toEqual([
      { block, count: 7, used: true, known: true },
    ]);
    const { group } = { group: Math.floor((block - 1) / 8192) };
    expect(volume.groups[group]?.freeBlocks).toBe((changed.groups[group]?.freeBlocks ?? 0) + 7);
    expect(changed.problems).toEqual([]);
    expect(map.problems).toEqual([]);
  });

  test("replayFastCommits() unmaps a range and frees its blocks", async () => {
    const [extent] = await (await openFileMap(memorySource(image))).extents(inodes.first);
    const start = (extent?.device ?? 0) / BLOCK;
    const result = await replay([
      { kind: "delete", inode: inodes.first, logical: 1, count: 2 ** 31 },
    ]);
    expect([...result.unsettled]).toEqual([]);
    const after = await openExt4Volume(memorySource(applied(result)));
    expect(await after.allocated(start, 3)).toEqual([
      { block: start, count: 1, used: true, known: true },
      { block: start + 1, count: 2, used: false, known: true },
    ]);
    expect((await readInode(after, inodes.first)).inode?.checksumOk).toBe(true);
  });

  test("replayFastCommits() renames through link and unlink", async () => {
    const { first, root, directory } = inodes;
    const result = await replay([
      { kind: "link", parent: root, inode: first, name: name("moved") },
      { kind: "unlink", parent: directory, inode: first, name: name("first") },
    ]);
    expect([...result.unsettled]).toEqual([]);
    const map = await openFileMap(memorySource(applied(result)));
    expect(await map.paths(first)).toEqual(["/moved"]);
    expect((await map.info(first))?.links).toBe(1);
  });

  test("R1: replayFastCommits() names the inode whose last name goes, and nothing else", async () => {
    const { second, directory } = inodes;
    const result = await replay([
      { kind: "unlink", parent: directory, inode: second, name: name("second") },
    ]);
    expect([...result.unsettled.keys()]).toEqual([second]);
  });

  test("R1: replayFastCommits() names a directory without room, and keeps its blocks whole", async () => {
    const { first, directory } = inodes;
    const changes = Array.from({ length: 80 }, (_, at) => ({
      kind: "link" as const,
      parent: directory,
      inode: first,
      name: name(`a-name-of-some-length-${at}`),
    }));
    const result = await replay(changes);
    expect([...result.unsettled.keys()]).toEqual([directory]);
    const inode = (await readInode(volume, directory)).inode as { generation: number };
    const dirBlocks = [...result.blocks].filter(
      ([, bytes]) => bytes.includes(0xde) && bytes[6] === 1,
    );
    expect(dirBlocks).toHaveLength(1);
    const [, bytes] = dirBlocks[0] as [number, Uint8Array];
    expect(
      directoryChecksumOk(bytes, inodeSeed(volume.superblock, directory, inode.generation)),
    ).toBe(true);
    const rules = { inodeCount: volume.superblock.inodeCount, filetype: true };
    let names = 0;
    expect(readEntries(bytes, rules, () => (names += 1))).toBeUndefined();
    expect(names).toBeGreaterThan(20);
  });

  test("R1: replayFastCommits() names a file whose tree would need a block", async () => {
    const block = await freeBlock(40);
    const result = await replay(
      [0, 2, 4, 6, 8].map((at) => ({
        kind: "add" as const,
        inode: inodes.first,
        logical: 100 + at,
        block: block + at,
        count: 1,
        unwritten: false,
      })),
    );
    expect([...result.unsettled]).toEqual([
      [inodes.first, "its extent tree would need another block"],
    ]);
  });

  test("replayFastCommits() applies nothing of changes that make no sense", async () => {
    const { first, root } = inodes;
    const raw = await rawInode(first);
    const nonsense: readonly FastCommitChange[] = [
      { kind: "inode", inode: 8, raw },
      { kind: "inode", inode: 0, raw },
      { kind: "inode", inode: 2 ** 32 - 1, raw },
      { kind: "inode", inode: first, raw: raw.subarray(0, 50) },
      { kind: "add", inode: first, logical: 0, block: 2, count: 1, unwritten: false },
      { kind: "add", inode: first, logical: 0, block: 2 ** 40, count: 9, unwritten: true },
      { kind: "add", inode: first, logical: 2 ** 32 - 1, block: 5000, count: 9, unwritten: true },
      { kind: "delete", inode: first, logical: 5, count: 0 },
      { kind: "link", parent: first, inode: first, name: name("x") },
      { kind: "link", parent: root, inode: first, name: name("") },
      { kind: "link", parent: root, inode: first, name: name("a/b") },
      { kind: "create", parent: root, inode: volume.superblock.inodeCount, name: name("x") },
    ];
    for (const change of nonsense) {
      const result = await replayFastCommits(volume, new Geometry(volume.superblock), [change]);
      expect({ change, result: typeof result }).toEqual({ change, result: "string" });
    }
  });

  test("FastCommitOverlay.find() serves changed blocks, and what is below of others", () => {
    const below = { empty: false, find: () => ({ kind: "bad" as const }) };
    const overlay = new FastCommitOverlay(below, new Map([[7, new Uint8Array(4)]]));
    expect(overlay.find(7)).toMatchObject({ kind: "bytes" });
    expect(overlay.find(8)).toEqual({ kind: "bad" });
  });

  test("random changes never crash or hang, and leave a volume that can be mapped", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    const counts = { refused: 0, applied: 0 };
    for (let round = 0; round < 150; round += 1) {
      const changes: FastCommitChange[] = [];
      for (let at = 1 + prng.below(40); at > 0; at -= 1) changes.push(await randomChange(prng));
      const result = await replayFastCommits(volume, new Geometry(volume.superblock), changes);
      counts[typeof result === "string" ? "refused" : "applied"] += 1;
      if (typeof result === "string" || round % 5 > 0) continue;
      const map = await openFileMap(memorySource(applied(result)));
      let at = 0;
      for (const piece of await map.owners([{ offset: 0, length: map.size }])) {
        expect(piece.offset).toBe(at);
        at += piece.length;
      }
      expect(at).toBe(map.size);
    }
    expect(counts.refused).toBeGreaterThan(10);
    expect(counts.applied).toBeGreaterThan(10);
  });
});

async function randomChange(prng: Prng): Promise<FastCommitChange> {
  const wild = prng.chance(0.02);
  const known = prng.pick([inodes.first, inodes.second, inodes.directory, 200 + prng.below(20)]);
  const inode = wild ? prng.below(2 ** 32) : known;
  const parent = prng.pick([inodes.directory, inodes.directory, inodes.root, wild ? inode : 2]);
  const logical = wild ? prng.below(2 ** 32) : prng.below(60);
  const count = 1 + prng.below(wild ? 70_000 : 9);
  switch (prng.below(6)) {
    case 0:
    case 1: {
      const block = wild ? prng.below(9000) : (await freeBlock(100)) + prng.below(90);
      return { kind: "add", inode, logical, block, count, unwritten: prng.chance(0.3) };
    }
    case 2:
      return { kind: "delete", inode, logical, count };
    case 3: {
      const raw = await rawInode(inodes.first, (view) => {
        if (prng.chance(0.2)) view.setUint32(prng.below(40) * 4, prng.below(2 ** 32), true);
      });
      return { kind: "inode", inode, raw };
    }
    default: {
      const text = prng.chance(0.5) ? prng.pick(["first", "second"]) : `n${prng.below(30)}`;
      const kind = prng.pick(["create", "link", "link", "unlink"] as const);
      return { kind, parent, inode, name: wild ? prng.bytes(prng.below(300)) : name(text) };
    }
  }
}

describe("FastCommitTree", () => {
  /** What each logical block maps to. */
  function mapping(tree: FastCommitTree): Map<number, string> {
    const found = new Map<number, string>();
    for (const { logical, block, count, unwritten } of tree.extents())
      for (let at = 0; at < count; at += 1) found.set(logical + at, `${block + at}${unwritten}`);
    return found;
  }

  test("change() maps and unmaps as block by block, or says why not", async () => {
    console.log(`SEED=${seed}`);
    const prng = createPrng(seed);
    const readBlocks = (): undefined => undefined;
    const blocks = new ChangedBlocks({ readBlocks } as unknown as Ext4Volume);
    const rules = { blocks, seed: undefined, mayOwn: () => true };
    let refused = 0;
    for (let round = 0; round < 300; round += 1) {
      const map = new Uint8Array(60);
      map.set([0x0a, 0xf3, 0, 0, 4]);
      const tree = (await readTree(map, rules)) as FastCommitTree;
      const model = new Map<number, string>();
      for (let step = 0; step < 12; step += 1) {
        const range = { logical: prng.below(30), count: 1 + prng.below(10) };
        const add = prng.chance(0.6);
        const block = 100 + prng.pick([0, 0, 500]) + range.logical;
        const unwritten = prng.chance(0.3);
        const why = tree.change(add ? { ...range, block, unwritten } : range);
        if (why !== undefined) refused += 1;
        const count = why === undefined ? range.count : 0;
        for (let at = 0; at < count; at += 1) {
          if (add) model.set(range.logical + at, `${block + at}${unwritten}`);
          else model.delete(range.logical + at);
        }
      }
      const wanted = new Map([...model].sort(([one], [other]) => one - other));
      expect(mapping(tree)).toEqual(wanted);
      expect(await tree.store(map, rules)).toBeUndefined();
      expect(mapping((await readTree(map, rules)) as FastCommitTree)).toEqual(wanted);
    }
    expect(refused).toBeGreaterThan(0);
  });
});
