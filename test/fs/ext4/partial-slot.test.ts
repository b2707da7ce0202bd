/** Inodes whose slots can be read in part: what is believed of them, against the map of the sound image. `SEED=123` replays the random poison. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPrng, type BadRange, type Prng } from "../../../src/base/index.ts";
import { openExt4Map } from "../../../src/fs/ext4/index.ts";
import { provesZeros } from "../../../src/fs/ext4/partial-slot.ts";
import type { FileMap, OwnedRange } from "../../../src/fs/index.ts";
import { randomSeed } from "../../base/seed.ts";
import { hasProgram, memorySource, poisoned, Scratch } from "./scratch.ts";
import { allOwners, wrongOwners } from "./support/compare-owners.ts";
import { PatchedImage } from "./support/patched-image.ts";
import { sampleImage } from "./support/sample-tree.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 25);
const MAP_ROOT = 40;
const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** One sound image and its map. */
interface Sound {
  readonly bytes: Uint8Array;
  readonly map: FileMap;
  readonly owned: readonly OwnedRange[];
  readonly slotSize: number;
}

async function soundImage(slotSize: number, options: readonly string[]): Promise<Sound> {
  const all = ["-t", "ext4", "-b", "1024", "-I", `${slotSize}`, ...options];
  const bytes = sampleImage(scratch, all);
  const map = await openExt4Map(memorySource(bytes));
  return { bytes, map, owned: await allOwners(map), slotSize };
}

async function slotOf(bytes: Uint8Array, inode: number): Promise<number> {
  const image = await PatchedImage.open(bytes);
  return image.inode(inode).device;
}

async function readWith(bytes: Uint8Array, bad: readonly BadRange[]): Promise<FileMap> {
  return openExt4Map(memorySource(bytes, bad));
}

async function ownersAt(map: FileMap, offset: number): Promise<readonly { kind: string }[]> {
  return (await map.owners([{ offset, length: 1 }]))[0]!.owners;
}

describe.skipIf(!hasProgram("mke2fs"))("partly poisoned slots (needs mke2fs)", () => {
  let sound: Sound;
  let report: number;
  let slot: number;
  let data: number;

  beforeAll(async () => {
    sound = await soundImage(256, ["-O", "metadata_csum"]);
    report = (await sound.map.lookup("/docs/report"))!;
    slot = await slotOf(sound.bytes, report);
    data = (await sound.map.extents(report))[0]!.device!;
  });

  test.each([
    ["the core with mode and size", 0, 64],
    ["the block map", MAP_ROOT, 60],
    ["the low half of the checksum", 124, 2],
    ["the extra fields with the high half of the checksum", 128, 32],
    ["the high half of the checksum alone", 130, 2],
    ["everything behind the core", 128, 128],
  ])("an inode whose slot misses %s names no owner", async (_, at, length) => {
    const map = await readWith(sound.bytes, [poisoned(slot + at, length)]);
    expect(await ownersAt(map, data)).toMatchObject([
      { kind: "unknown", why: expect.stringMatching(new RegExp(`inode ${report}\\b`, "i")) },
    ]);
    expect(await map.info(report)).toBeUndefined();
    expect((await map.extents(report)).map(({ kind }) => kind)).toEqual(["unknown"]);
    expect(await ownersAt(map, slot)).toMatchObject([{ what: "inode", inode: report }]);
  });

  test("provesZeros() lets the checksum prove that the missing tail of a slot is empty", async () => {
    const map = await readWith(sound.bytes, [poisoned(slot + 192, 64)]);
    expect(await map.info(report)).toEqual(await sound.map.info(report));
    expect(await ownersAt(map, data)).toEqual(await ownersAt(sound.map, data));
    const { superblock } = (await PatchedImage.open(sound.bytes)).volume;
    const bytes = sound.bytes.slice(slot, slot + 256);
    expect(provesZeros(superblock, report, bytes)).toBe(true);
    bytes[MAP_ROOT] = bytes[MAP_ROOT]! ^ 1;
    expect(provesZeros(superblock, report, bytes)).toBe(false);
  });

  test("provesZeros() does not take 16 bits of a checksum for a proof", async () => {
    const image = await PatchedImage.open(sound.bytes.slice());
    image.editInode(report, (view) => view.setUint16(128, 0, true), true);
    const { superblock } = image.volume;
    const bytes = image.bytes.slice(slot, slot + 256);
    const proofs: number[] = [];
    for (let low = 0; low < 65536; low += 1) {
      new DataView(bytes.buffer).setUint16(124, low, true);
      if (provesZeros(superblock, report, bytes)) proofs.push(low);
    }
    expect(proofs).toEqual([]);
  });

  test("a wrong map beside a poisoned tail does not name its file for another's blocks", async () => {
    const large = (await sound.map.lookup("/docs/deep/deeper/large"))!;
    const theirs = (await sound.map.extents(large))[0]!.device!;
    const image = await PatchedImage.open(sound.bytes.slice());
    const block = theirs / image.blockSize;
    image.editInode(report, (view) => view.setUint32(MAP_ROOT + 20, block, true), true);
    for (const [at, length] of [
      [128, 64],
      [192, 64],
      [128, 128],
    ] as const) {
      const map = await readWith(image.bytes, [poisoned(slot + at, length)]);
      const owned = await allOwners(map);
      expect(wrongOwners(owned, sound.owned)).toEqual([]);
      expect(owned.flatMap(({ owners }) => owners)).not.toContainEqual(
        expect.objectContaining({ what: "data", inode: report }),
      );
    }
  });

  test("a directory whose slot misses its tail keeps the names that its blocks' checksums prove", async () => {
    const docs = (await sound.map.lookup("/docs"))!;
    const map = await readWith(sound.bytes, [
      poisoned((await slotOf(sound.bytes, docs)) + 128, 64),
    ]);
    expect(await map.paths(report)).toEqual(await sound.map.paths(report));
    expect(await map.lookup("/docs/report")).toBe(report);
    expect(await map.info(docs)).toBeUndefined();
  });

  test("without metadata_csum the clean bytes of a slot are believed, and only the missing ones are not", async () => {
    const plain = await soundImage(256, ["-O", "^metadata_csum"]);
    const file = (await plain.map.lookup("/docs/report"))!;
    const at = await slotOf(plain.bytes, file);
    const map = await readWith(plain.bytes, [poisoned(at + 128, 128)]);
    const place = (await plain.map.extents(file))[0]!.device!;
    expect(await ownersAt(map, place)).toEqual(await ownersAt(plain.map, place));
    const truth = (await plain.map.info(file))!;
    const second = 1_000_000_000n;
    expect(await map.info(file)).toEqual({
      ...truth,
      modifiedNs: truth.modifiedNs - (truth.modifiedNs % second),
    });
    const tail = await readWith(plain.bytes, [poisoned(at + 192, 64)]);
    expect(await tail.info(file)).toEqual(truth);
  });

  test("inline data in a missing tail is unknown, and what stands in the core is known without a checksum alone", async () => {
    for (const feature of ["metadata_csum", "^metadata_csum"]) {
      const inline = await soundImage(256, ["-O", `inline_data,${feature}`]);
      const file = (await inline.map.lookup("/docs/small"))!;
      expect((await inline.map.extents(file)).map(({ kind }) => kind)).toContain("inline");
      const at = await slotOf(inline.bytes, file);
      const map = await readWith(inline.bytes, [poisoned(at + 192, 64)]);
      const kinds = (await map.extents(file)).map(({ kind }) => kind);
      expect(kinds).toEqual(feature === "metadata_csum" ? ["unknown"] : ["inline", "unknown"]);
      expect(wrongOwners(await allOwners(map), inline.owned)).toEqual([]);
    }
  });
});

/** Random poison in and around the slots of inodes in use, each range within one slot. */
function drawPoison(random: Prng, sound: Sound): readonly BadRange[] {
  const slots = sound.owned.filter(({ owners }) => owners[0]!.what === "inode");
  const unit = random.pick([1, 16, 64]);
  return Array.from({ length: 1 + random.below(12) }, () => {
    const { offset } = random.pick(slots);
    const start = offset - (offset % sound.slotSize);
    const first = unit * random.below(sound.slotSize / unit);
    const length = unit * (1 + random.below((sound.slotSize - first) / unit));
    return poisoned(start + first, length);
  });
}

/** Flips bits in the clean cores of the poisoned slots: damage that only the checksum would have shown. @returns the changed copy */
function corrupted(random: Prng, sound: Sound, bad: readonly BadRange[]): Uint8Array {
  const bytes = sound.bytes.slice();
  for (const { offset } of bad) {
    const start = offset - (offset % sound.slotSize);
    for (let flips = random.below(4); flips > 0; flips -= 1)
      bytes[start + random.below(128)]! ^= 1 << random.below(8);
  }
  return bytes;
}

describe.skipIf(!hasProgram("mke2fs"))("random poison in slots (needs mke2fs)", () => {
  const seed = randomSeed();
  test.each([
    ["128-byte slots", 128, ["-O", "metadata_csum"], true],
    ["256-byte slots", 256, ["-O", "metadata_csum"], true],
    ["1024-byte slots", 1024, ["-O", "metadata_csum"], true],
    ["inline data", 256, ["-O", "metadata_csum,inline_data"], true],
    ["bigalloc", 256, ["-O", "metadata_csum,bigalloc", "-C", "4096"], true],
    ["block maps", 256, ["-O", "metadata_csum,^extent,^64bit"], true],
    ["no checksums", 256, ["-O", "^metadata_csum"], false],
    ["no checksums, inline data", 512, ["-O", "^metadata_csum,inline_data"], false],
  ] as const)(
    "R1: every owner is the true one or unknown: %s",
    async (...[name, slotSize, options, checked]) => {
      const sound = await soundImage(slotSize, options);
      for (let round = 0; round < ROUNDS; round += 1) {
        const random = createPrng(seed + round);
        const bad = drawPoison(random, sound);
        const silent = checked && random.chance(0.6);
        const map = await readWith(silent ? corrupted(random, sound, bad) : sound.bytes, bad);
        const wrong = wrongOwners(await allOwners(map), sound.owned);
        expect(wrong.slice(0, 3), `SEED=${seed + round} ROUNDS=1 ${name}`).toEqual([]);
      }
    },
  );
});
