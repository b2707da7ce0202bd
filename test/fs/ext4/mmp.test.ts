/** mmpProblem(): MMP blocks by mke2fs, clean, in use, changed and poisoned. */
import { afterAll, describe, expect, test } from "vitest";
import { crc32c } from "../../../src/base/index.ts";
import { openExt4Volume } from "../../../src/fs/ext4/open-volume.ts";
import { hasProgram, load, memorySource, poisoned, Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

async function made(features: string): Promise<{
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly seed: number;
}> {
  const path = scratch.image("mmp.img", 8 * 1024 * 1024, ["-t", "ext4", "-O", features]);
  const bytes = load(path);
  const { superblock } = await openExt4Volume(memorySource(bytes));
  const at = superblock.mmpBlock * superblock.blockSize;
  return { bytes, at, seed: superblock.checksumSeed };
}

async function said(
  bytes: Uint8Array,
  bad: Parameters<typeof memorySource>[1] = [],
): Promise<string[]> {
  const volume = await openExt4Volume(memorySource(bytes, bad));
  return volume.problems.map(({ message }) => message).filter((text) => text.includes("MMP"));
}

describe.skipIf(!hasProgram("mke2fs"))("mmpProblem", () => {
  test("mmpProblem() is silent on a clean block, with and without checksums", async () => {
    expect(await said((await made("mmp")).bytes)).toEqual([]);
    expect(await said((await made("mmp,^metadata_csum")).bytes)).toEqual([]);
    expect(await said((await made("^mmp")).bytes)).toEqual([]);
  });

  test("mmpProblem() says that a volume is in use, and not by whom", async () => {
    const { bytes, at, seed } = await made("mmp");
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, 1024);
    view.setUint32(4, 77, true);
    bytes.set(Buffer.from("somehost"), at + 16);
    view.setUint32(1020, crc32c(bytes.subarray(at, at + 1020), seed), true);
    expect(await said(bytes)).toEqual([
      "The MMP block says that the volume is in use: a mount of it goes on, or was cut off",
    ]);
    view.setUint32(4, 0xe24d4d50, true);
    view.setUint32(1020, crc32c(bytes.subarray(at, at + 1020), seed), true);
    expect((await said(bytes))[0]).toMatch(/a check of it/);
  });

  test("mmpProblem() says that a changed or poisoned block tells nothing", async () => {
    const { bytes, at } = await made("mmp");
    expect((await said(bytes, [poisoned(at, 512)]))[0]).toMatch(/unreadable/);
    bytes[at + 500] = 1;
    expect((await said(bytes))[0]).toMatch(/wrong checksum/);
    bytes[at] = 0;
    expect((await said(bytes))[0]).toMatch(/no magic number/);
  });
});
