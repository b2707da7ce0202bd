/** Files inside images: what their extents mean for a read and a write, on every face; nothing but file data ever changes. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { createMemoryDevice, type SimulatedDevice } from "../../src/device/index.ts";
import { openFile, RWF_APPEND, RWF_RECOVERY_DATA, type Face } from "../../src/file/index.ts";
import { openFileMap, type FileMap } from "../../src/fs/index.ts";
import { expectBytes } from "../dax/support/dax-file.ts";
import { PatchedImage } from "../fs/ext4/support/patched-image.ts";
import { FILES, placeOf, TREE_FILESYSTEMS, treeImage } from "../rescue/support/tree.ts";

const PAGE = 4096;
const KIB = 1024;
const FACES: readonly Face[] = ["dax", "direct", "buffered"];
const FLAGS = [0, RWF_RECOVERY_DATA];
const ENCRYPT_FLAG = 0x800;
const VERITY_FLAG = 0x10_0000;

interface Image {
  readonly bytes: Uint8Array;
  readonly device: SimulatedDevice;
  readonly map: FileMap;
}

async function imageOf(bytes: Uint8Array): Promise<Image> {
  const device = createMemoryDevice({ bytes, poisonUnit: 64, clearUnit: 256 });
  return { bytes, device, map: await openFileMap(device) };
}

function fixture(name: string): Uint8Array {
  const path = new URL(`../fs/ext4/fixtures/${name}.img.gz`, import.meta.url);
  return new Uint8Array(gunzipSync(readFileSync(path)));
}

function contentOf(path: string): Uint8Array {
  return FILES.get(path) as Uint8Array;
}

const PLACES = TREE_FILESYSTEMS.flatMap((filesystem) =>
  FACES.map((face) => [filesystem, face] as const),
);

describe.each(PLACES)(
  "a file of whole pages and sectors of %s, on the %s face",
  (filesystem, face) => {
    test("preadv2() of many buffers gives the file, and 0 at its end", async () => {
      const { device, map } = await imageOf(treeImage(filesystem));
      const file = await openFile(device, { map, path: "/docs/archive.bin", face });
      const wanted = contentOf("/docs/archive.bin");
      expect(file.size).toBe(wanted.length);
      const parts = [512, 0, 65_536, 300_032].map((length) => new Uint8Array(length));
      expect(await file.preadv2(parts, 0)).toBe(wanted.length);
      expectBytes(Buffer.concat(parts).subarray(0, wanted.length), wanted);
      expect(await file.preadv2(parts, file.size)).toBe(0);
      expect(await file.preadv2(parts, 2 ** 40)).toBe(0);
    });

    test.each(FLAGS)("preadv2() of a hole gives zeros (flags %#x)", async (flags) => {
      const { device, map } = await imageOf(treeImage(filesystem));
      const file = await openFile(device, { map, path: "/sparse.bin", face });
      const into = new Uint8Array(64 * KIB).fill(0xff);
      expect(await file.preadv2(into, 4096, flags)).toBe(into.length);
      expect(into.subarray(0, 6000 - 4096).includes(0)).toBe(false);
      expect(into.subarray(6000 - 4096).every((byte) => byte === 0)).toBe(true);
    });

    test.each(FLAGS)(
      "pwritev2() into a hole, past the end or across either is EOPNOTSUPP before any byte moves (flags %#x)",
      async (flags) => {
        const { device, map, bytes } = await imageOf(treeImage(filesystem));
        const before = bytes.slice();
        const file = await openFile(device, { map, path: "/sparse.bin", face });
        const data = new Uint8Array(PAGE * 2).fill(9);
        for (const offset of [64 * KIB, PAGE, 1024 * KIB, file.size - (file.size % 512)])
          await expect(file.pwritev2(data, offset, flags)).rejects.toMatchObject({
            code: "EOPNOTSUPP",
          });
        await expect(file.pwritev2(data, 0, flags | RWF_APPEND)).rejects.toMatchObject({
          code: "EOPNOTSUPP",
        });
        expect(await file.pwritev2(new Uint8Array(0), 1024 * KIB, flags)).toBe(0);
        expectBytes(bytes, before);
      },
    );

    test("R2, R4, R8: pwritev2() with RWF_RECOVERY_DATA heals in place, and nothing else changes", async () => {
      const { device, map, bytes } = await imageOf(treeImage(filesystem));
      const wanted = contentOf("/docs/big.bin");
      const inode = (await map.lookup("/docs/big.bin")) as number;
      const extents = await map.extents(inode);
      const at = await placeOf(map, "/docs/big.bin", 20 * PAGE);
      const before = bytes.slice();
      device.inject({ offset: at + 512, length: 1024 });
      const file = await openFile(device, { map, path: "/docs/big.bin", face });
      const good = wanted.subarray(20 * PAGE, 21 * PAGE);
      expect(
        await file.pwritev2(good.subarray(512, 1536), 20 * PAGE + 512, RWF_RECOVERY_DATA),
      ).toBe(1024);
      expectBytes(bytes, before);
      expect(device.poison.empty).toBe(true);
      expect(await map.extents(inode)).toEqual(extents);
    });

    test("R1: poison of another file never shows", async () => {
      const { device, map } = await imageOf(treeImage(filesystem));
      device.inject({ offset: await placeOf(map, "/docs/report.txt"), length: 40_000 });
      const file = await openFile(device, { map, path: "/docs/archive.bin", face });
      const into = new Uint8Array(300_032);
      expect(await file.preadv2(into, 0)).toBe(300_000);
      expectBytes(into.subarray(0, 300_000), contentOf("/docs/archive.bin"));
    });

    test("preadv2() with RWF_RECOVERY_DATA gives a file whose slack is bad", async () => {
      const { device, map } = await imageOf(treeImage(filesystem));
      device.inject({ offset: (await placeOf(map, "/tiny.txt")) + 2048, length: 512 });
      const file = await openFile(device, { map, path: "/tiny.txt", face });
      const into = new Uint8Array(PAGE);
      expect(await file.preadv2(into, 0, RWF_RECOVERY_DATA)).toBe(100);
      expectBytes(into.subarray(0, 100), contentOf("/tiny.txt"));
      const { length, holes } = await file.readRecover(into, 0);
      expect({ length, holes }).toEqual({ length: 100, holes: [] });
    });
  },
);

test("R19: a plain read on memory is refused for poison in its file's slack, as in Linux, and R20: not one that ends with the file", async () => {
  const { device, map } = await imageOf(treeImage());
  const at = await placeOf(map, "/two-blocks.txt");
  device.inject({ offset: at + PAGE + 2048, length: 512 });
  const file = await openFile(device, { map, path: "/two-blocks.txt", face: "dax" });
  const into = new Uint8Array(2 * PAGE);
  await expect(file.preadv2(into, 0)).rejects.toMatchObject({ code: "EIO" });
  expect(await file.preadv2(into.subarray(0, PAGE), 0)).toBe(PAGE);
  expect(await file.preadv2(into, 0, RWF_RECOVERY_DATA)).toBe(5000);
});

test("readRecover() of a file gives its holes in bytes of the file", async () => {
  const { device, map } = await imageOf(treeImage());
  for (const offset of [PAGE, 3 * PAGE + 64])
    device.inject({ offset: await placeOf(map, "/docs/archive.bin", offset), length: 64 });
  const file = await openFile(device, { map, path: "/docs/archive.bin" });
  const { holes, length } = await file.readRecover(new Uint8Array(3 * PAGE), PAGE / 2);
  expect(length).toBe(3 * PAGE);
  expect(holes).toEqual([
    { offset: PAGE, length: 64, state: "poisoned" },
    { offset: 3 * PAGE + 64, length: 64, state: "poisoned" },
  ]);
});

describe.each(["direct", "buffered"] as const)("blocks of 1 KiB, on the %s face", (face) => {
  test("preadv2() gives inline data; pwritev2() of it is EOPNOTSUPP", async () => {
    const { device, map, bytes } = await imageOf(fixture("inline"));
    const before = bytes.slice();
    const file = await openFile(device, { map, path: "/inline", face });
    expect((await map.extents((await map.lookup("/inline")) as number))[0]?.kind).toBe("inline");
    const into = new Uint8Array(512);
    expect(await file.preadv2(into, 0)).toBe(120);
    expect(Buffer.from(into.subarray(0, 120)).toString()).toBe("i".repeat(120));
    for (const flags of FLAGS)
      await expect(file.pwritev2(into.subarray(0, 120), 0, flags)).rejects.toMatchObject({
        code: "EOPNOTSUPP",
      });
    expectBytes(bytes, before);
  });

  test("preadv2() of an unwritten extent gives zeros whatever lies there; pwritev2() is EOPNOTSUPP", async () => {
    const patched = await PatchedImage.open(fixture("checksums"));
    const probe = await imageOf(patched.bytes.slice());
    const inode = (await probe.map.lookup("/sparse")) as number;
    const unwritten = (await probe.map.extents(inode, { pastEnd: true })).find(
      ({ kind }) => kind === "unwritten",
    );
    expect(unwritten?.device).toBeDefined();
    const { offset = 0, length = 0, device: place = 0 } = unwritten ?? {};
    patched.editInode(inode, (slot) => slot.setUint32(4, offset + length, true));
    patched.bytes.fill(0xee, place, place + length);
    const { device, map } = await imageOf(patched.bytes);
    device.inject({ offset: place, length: 512 });
    const file = await openFile(device, { map, path: "/sparse", face });
    for (const flags of FLAGS) {
      const into = new Uint8Array(length).fill(1);
      expect(await file.preadv2(into, offset, flags)).toBe(length);
      expect(into.every((byte) => byte === 0)).toBe(true);
      await expect(file.pwritev2(into, offset, flags)).rejects.toMatchObject({
        code: "EOPNOTSUPP",
      });
    }
    expect(device.poison.totals().poisoned).toBe(512);
  });

  test.each([
    ["encrypted", ENCRYPT_FLAG],
    ["protected by fs-verity", VERITY_FLAG],
  ] as const)("pwritev2() of a file that is %s is EOPNOTSUPP", async (_, flag) => {
    const patched = await PatchedImage.open(fixture("checksums"));
    const { map: plain } = await imageOf(patched.bytes.slice());
    const inode = (await plain.lookup("/plain")) as number;
    patched.editInode(inode, (slot) => slot.setUint32(32, slot.getUint32(32, true) | flag, true));
    const { device, map, bytes } = await imageOf(patched.bytes);
    const before = bytes.slice();
    const file = await openFile(device, { map, inode, face });
    expect(await file.preadv2(new Uint8Array(512), 0)).toBe(512);
    for (const flags of FLAGS)
      await expect(file.pwritev2(new Uint8Array(512), 0, flags)).rejects.toMatchObject({
        code: "EOPNOTSUPP",
      });
    expectBytes(bytes, before);
  });

  test("pwritev2() is ECANCELED while the journal is not replayed; preadv2() reads", async () => {
    const { device, map, bytes } = await imageOf(fixture("journal"));
    expect(map.journal.pending).toBe(true);
    const before = bytes.slice();
    const file = await openFile(device, { map, path: "/many-extents", face });
    expect(await file.preadv2(new Uint8Array(512), 0)).toBe(512);
    for (const flags of FLAGS)
      await expect(file.pwritev2(new Uint8Array(512), 0, flags)).rejects.toMatchObject({
        code: "ECANCELED",
      });
    expectBytes(bytes, before);
  });
});

describe("openFile()", () => {
  test("takes an inode instead of a path", async () => {
    const { device, map } = await imageOf(treeImage());
    const inode = (await map.lookup("/small.txt")) as number;
    const file = await openFile(device, { map, inode });
    expect([file.name, file.size, file.face]).toEqual([`inode ${inode}`, 3000, "dax"]);
    const into = new Uint8Array(3000);
    await file.preadv2(into, 0);
    expectBytes(into, contentOf("/small.txt"));
  });

  test.each([
    ["/docs", "EISDIR"],
    ["/short link", "EOPNOTSUPP"],
    ["/no such file", "ENOENT"],
  ] as const)("refuses %s with %s", async (path, code) => {
    const { device, map } = await imageOf(treeImage());
    await expect(openFile(device, { map, path })).rejects.toMatchObject({ code });
  });

  test("an empty file reads nothing and takes nothing", async () => {
    const { device, map } = await imageOf(treeImage());
    for (const face of FACES) {
      const file = await openFile(device, { map, path: "/empty", face });
      expect(await file.preadv2(new Uint8Array(512), 0)).toBe(0);
      expect(await file.readRecover(new Uint8Array(512), 0)).toEqual({ length: 0, holes: [] });
      await expect(file.pwritev2(new Uint8Array(512), 0)).rejects.toMatchObject({
        code: "EOPNOTSUPP",
      });
    }
  });

  test("blocks smaller than a page have no direct access", async () => {
    const { device, map } = await imageOf(fixture("checksums"));
    const path = "/many-extents";
    await expect(openFile(device, { map, path, face: "dax" })).rejects.toMatchObject({
      code: "EOPNOTSUPP",
    });
    expect((await openFile(device, { map, path })).face).toBe("buffered");
  });
});
