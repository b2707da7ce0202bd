/** openFileMap(): finds a file system on a device or a part of it, or says why there is none. */
import { afterAll, describe, expect, test } from "vitest";
import { StorageError } from "../../src/base/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import { hasProgram, load, memorySource, poisoned, run, Scratch } from "./ext4/scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());
const MIB = 1024 * 1024;

test("openFileMap() says that there is nothing, and what it looks like instead", async () => {
  await expect(openFileMap(memorySource(new Uint8Array(MIB)))).rejects.toThrow(StorageError);
  await expect(openFileMap(memorySource(new Uint8Array(MIB)))).rejects.toThrow(
    "no ext4 superblock",
  );
  const xfs = new Uint8Array(MIB);
  xfs.set(Buffer.from("XFSB"));
  await expect(openFileMap(memorySource(xfs))).rejects.toThrow("looks like XFS, of a form");
  await expect(openFileMap(memorySource(new Uint8Array(100)))).rejects.toThrow(StorageError);
  await expect(openFileMap(memorySource(new Uint8Array(0)))).rejects.toThrow(StorageError);
});

test("openFileMap() says so where the place of the superblock is bad", async () => {
  await expect(
    openFileMap(memorySource(new Uint8Array(MIB), [poisoned(1024, 512)])),
  ).rejects.toThrow("is bad, and no backup");
});

test("openFileMap() refuses a part that is not on the device", async () => {
  await expect(
    openFileMap(memorySource(new Uint8Array(MIB)), { offset: MIB, length: 1 }),
  ).rejects.toThrow(RangeError);
});

describe.skipIf(!hasProgram("mke2fs"))("with an image (needs mke2fs)", () => {
  test("openFileMap() opens a part, with offsets and bad ranges of the part", async () => {
    const image = load(scratch.image("part.img", 4 * MIB, ["-t", "ext4", "-b", "1024"]));
    const device = new Uint8Array(6 * MIB);
    device.set(image, MIB);
    const map = await openFileMap(memorySource(device, [poisoned(MIB + 4096, 64)]), {
      offset: MIB,
      length: 4 * MIB,
    });
    expect(map).toMatchObject({ filesystem: "ext4", size: 4 * MIB, blockSize: 1024 });
    expect(await map.lookup("/lost+found")).toBe(11);
    const alone = await openFileMap(memorySource(image, [poisoned(4096, 64)]));
    const whole = [{ offset: 0, length: map.size }];
    expect(await map.owners(whole)).toEqual(await alone.owners(whole));
  });
});

describe.skipIf(!hasProgram("mke2fs") || !hasProgram("mkfs.xfs"))(
  "over the rest of an older file system (needs mke2fs and mkfs.xfs)",
  () => {
    test("openFileMap() tells XFS where backups of an older ext4 are left", async () => {
      const path = scratch.image("older.img", 64 * MIB, ["-t", "ext4", "-b", "1024"]);
      run("mkfs.xfs", ["--unsupported", "-q", "-f", "-K", "-s", "size=4096", path]);
      const image = load(path);
      expect(image[8193 * 1024 + 0x38]).toBe(0x53);
      expect(await openFileMap(memorySource(image))).toMatchObject({ filesystem: "xfs" });
    });

    test("openFileMap() tells ext4 where copies of an older XFS are left", async () => {
      const path = scratch.image("newer.img", 64 * MIB, ["-t", "ext4", "-b", "1024"]);
      run("mkfs.xfs", ["--unsupported", "-q", "-f", "-K", path]);
      run("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "4096", "-E", "nodiscard", path]);
      const image = load(path);
      expect(Buffer.from(image.subarray(32 * MIB, 32 * MIB + 4)).toString()).toBe("XFSB");
      expect(await openFileMap(memorySource(image))).toMatchObject({ filesystem: "ext4" });
    });
  },
);
