/** Repairs: from directories and images, what is written, what is refused, and that all figures add up. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { imageDonor, openDirectoryDonor, type Donor } from "../../../src/donor/index.ts";
import { digestTree } from "../../../src/donor/index.ts";
import {
  digestSource,
  findDamage,
  missingBytes,
  repair,
  repairExitCode,
  type Repair,
} from "../../../src/rescue/index.ts";
import { describeTarget } from "../../../src/rescue/index.ts";
import {
  memoryTarget,
  MODIFIED,
  placeOf,
  removeTemporary,
  targetOf,
  temporary,
  TREE_FILESYSTEMS,
  treeImage,
  writeTree,
} from "../support/tree.ts";
import { utimesSync } from "node:fs";
import { createMemoryDevice } from "../../../src/device/index.ts";

afterAll(removeTemporary);

function backup(change?: Parameters<typeof writeTree>[1]): string {
  const root = temporary();
  writeTree(root, change);
  return root;
}

async function imageOf(
  bytes: Uint8Array,
  name = "twin",
  bad: readonly { offset: number; length: number }[] = [],
): Promise<Donor> {
  const device = createMemoryDevice({ bytes, name, poisonUnit: 512, clearUnit: 512 });
  for (const range of bad) device.inject(range);
  const { map } = await targetOf(device);
  return imageDonor({
    name,
    device,
    volumes: [{ device, offset: 0, length: bytes.length, map }],
    close: () => undefined,
  });
}

/** Checks the figures that every result owes: the sums add up, and so do the states before and after (R7). */
function checkSums(result: Repair): void {
  const { bad, ...parts } = result.sums;
  expect(Object.values(parts).reduce((sum, part) => sum + part, 0)).toBe(bad);
  expect(bad).toBe(result.before.poisoned + result.before.lost);
  expect(result.totals.poisoned + result.totals.lost).toBe(
    bad - result.sums.repaired - result.sums.zeroed,
  );
  expect(result.totals.total).toBe(
    result.totals.clean + result.totals.unread + result.totals.poisoned + result.totals.lost,
  );
  expect(result.moved).toEqual([]);
}

describe.each(TREE_FILESYSTEMS)("repair() with a backup directory, on %s", (filesystem) => {
  test("S31: R2, R8: restores exactly what was there, and moves nothing", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    const pristine = Uint8Array.from(target.bytes);
    for (const [path, offset] of [
      ["/docs/big.bin", 700_000],
      ["/docs/archive.bin", 0],
      ["/small.txt", 0],
      ["/docs/été/naïve name.txt", 8500],
    ] as const) {
      target.device.inject({ offset: await placeOf(target.map, path, offset), length: 700 });
    }
    const result = await repair({ target, donors: [openDirectoryDonor(backup())] });
    checkSums(result);
    expect(result.missing).toBe(0);
    expect(result.sums.repaired + result.sums.zeroed).toBe(result.sums.bad);
    expect(Buffer.compare(target.bytes, pristine)).toBe(0);
  });

  test("a second repair repairs 0 bytes (S65)", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 5120), length: 512 });
    const donors = [openDirectoryDonor(backup())];
    expect((await repair({ target, donors })).sums.repaired).toBe(512);
    const second = await repair({ target, donors });
    checkSums(second);
    expect(second.sums.bad).toBe(0);
    expect(second.steps).toEqual([]);
  });

  test.each([
    [
      "of another size",
      (path: string, bytes: Uint8Array) => (path === "/docs/big.bin" ? bytes.subarray(1) : bytes),
    ],
    [
      "that differs beside the hole (S67)",
      (path: string, bytes: Uint8Array) =>
        path === "/docs/big.bin" ? Uint8Array.from(bytes).fill(0, 5119, 5120) : bytes,
    ],
    [
      "without the file",
      (path: string, bytes: Uint8Array) => (path === "/docs/big.bin" ? undefined : bytes),
    ],
  ])("writes nothing from a donor %s, and exits with what that means", async (_, change) => {
    const target = await memoryTarget(treeImage(filesystem));
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 5120), length: 512 });
    const before = Uint8Array.from(target.bytes);
    const result = await repair({ target, donors: [openDirectoryDonor(backup(change))] });
    checkSums(result);
    expect(result.sums.repaired).toBe(0);
    expect(result.missing).toBe(512);
    expect(repairExitCode(result)).toBe(result.sums.refused > 0 ? 4 : 1);
    expect(Buffer.compare(target.bytes, before)).toBe(0);
  });

  test("writes nothing from an older donor (S64), unless trust is anything, which is recorded", async () => {
    const root = backup();
    utimesSync(join(root, "docs/big.bin"), MODIFIED - 100, MODIFIED - 100);
    const target = await memoryTarget(treeImage(filesystem));
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 5120), length: 512 });
    const donors = [openDirectoryDonor(root)];
    const refused = await repair({ target, donors });
    expect(refused.steps[0]).toMatchObject({
      action: "refused",
      reason: expect.stringContaining("older"),
    });
    const forced = await repair({ target, donors }, { trust: "anything" });
    expect(forced).toMatchObject({ trust: "anything", missing: 0 });
    expect(forced.steps[0]).toMatchObject({ grade: "refused", outcome: "healed" });
  });

  test("asks several donors for what one has not (S58, S59)", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    const at = await placeOf(target.map, "/docs/big.bin", 65_536);
    target.device.inject({ offset: at, length: 4 * 512 });
    const first = await imageOf(treeImage(filesystem), "first", [{ offset: at, length: 1024 }]);
    const second = await imageOf(treeImage(filesystem), "second", [
      { offset: at + 512, length: 1024 },
    ]);
    const result = await repair({ target, donors: [first, second] });
    checkSums(result);
    expect(result.missing).toBe(512);
    expect(repairExitCode(result)).toBe(1);
    expect(
      result.steps.map(({ offset, length, action, donor }) => [
        offset - at,
        length,
        action,
        donor?.index,
      ]),
    ).toEqual([
      [0, 512, "write", 1],
      [512, 512, "refused", undefined],
      [1024, 1024, "write", 0],
    ]);
  });

  test("reads a few KiB of a donor for one bad sector (S66)", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    target.device.inject({
      offset: await placeOf(target.map, "/docs/big.bin", 700_000),
      length: 512,
    });
    let read = 0;
    const donor = openDirectoryDonor(backup());
    const counting: Donor = {
      name: "counting",
      kind: "directory",
      volume: () => undefined,
      close: () => undefined,
      async file(path) {
        const file = await donor.file(path);
        if (file === undefined) return undefined;
        return {
          name: file.name,
          size: file.size,
          modifiedNs: file.modifiedNs,
          close: () => file.close(),
          read: (into, offset) => ((read += into.length), file.read(into, offset)),
        };
      },
    };
    expect((await repair({ target, donors: [counting] })).missing).toBe(0);
    expect(read).toBeLessThan(32_768);
  });

  test("is proven with a digest, and refused where the digest contradicts", async () => {
    const good = backup();
    let text = "";
    for await (const piece of digestTree(good)) text += piece;
    const digest = join(temporary(), "d.json");
    writeFileSync(digest, text);
    const target = await memoryTarget(treeImage(filesystem));
    const offset = await placeOf(target.map, "/docs/big.bin", 700_000);
    target.device.inject({ offset, length: 512 });
    const wrong = openDirectoryDonor(
      backup((path, bytes) =>
        path === "/docs/big.bin" ? Uint8Array.from(bytes).fill(0, 700_010, 700_011) : bytes,
      ),
    );
    const refused = await repair(
      { target, donors: [wrong] },
      { trust: "proven", digests: digestSource(digest, []) },
    );
    expect(refused.steps[0]).toMatchObject({
      action: "refused",
      reason: expect.stringContaining("digest"),
    });
    const result = await repair(
      { target, donors: [wrong, openDirectoryDonor(good)] },
      { trust: "proven", digests: digestSource(digest, []) },
    );
    expect(result.missing).toBe(0);
    expect(result.steps[0]).toMatchObject({ grade: "proven", donor: { index: 1 } });
  });

  test("finds the digest at the root of the backup", async () => {
    const root = backup();
    let text = "";
    for await (const piece of digestTree(root)) text += piece;
    writeFileSync(join(root, ".theriac-digest.json"), text);
    const target = await memoryTarget(treeImage(filesystem));
    target.device.inject({
      offset: await placeOf(target.map, "/docs/big.bin", 700_000),
      length: 512,
    });
    const donors = [openDirectoryDonor(root)];
    const result = await repair({ target, donors }, { digests: digestSource(undefined, donors) });
    expect(result.steps[0]?.grade).toBe("proven");
  });

  test("heals slack with zeros, and free space only on request; neither is missing data", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    const slack = (await placeOf(target.map, "/small.txt", 0)) + 3584;
    target.device.inject({ offset: slack, length: 512 });
    target.device.inject({ offset: target.bytes.length - 65_536, length: 4096 });
    expect(missingBytes(await findDamage(target))).toBe(0);
    const first = await repair({ target, donors: [] });
    checkSums(first);
    expect(first.sums).toMatchObject({ zeroed: 512, left: 4096 });
    expect(repairExitCode(first)).toBe(0);
    const second = await repair({ target, donors: [] }, { free: true });
    expect(second.sums).toMatchObject({ zeroed: 4096, left: 0 });
    expect(second.totals).toMatchObject({ poisoned: 0, lost: 0 });
  });

  test("zeros what is not in use in the same clear unit as a file", async () => {
    const target = await memoryTarget(treeImage(filesystem), {
      poisonUnit: 4096,
      clearUnit: 65_536,
    });
    const offset = await placeOf(target.map, "/docs/big.bin", 0);
    const unit = offset - (offset % 65_536);
    target.device.inject({ offset: unit, length: 65_536 });
    const result = await repair({ target, donors: [openDirectoryDonor(backup())] });
    checkSums(result);
    expect(result.sums.left).toBe(0);
  });

  test("S32: R5, R9: a device that refuses to clear keeps its list", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    const bad = await placeOf(target.map, "/docs/big.bin", 100_000 - (100_000 % 4096));
    target.device.inject({ offset: bad, length: 1024 });
    target.device.setFault({ offset: bad, length: 512, kind: "refuses", on: true });
    const result = await repair({ target, donors: [openDirectoryDonor(backup())] });
    checkSums(result);
    expect(result.sums.failed).toBeGreaterThan(0);
    expect(result.missing).toBe(result.sums.failed);
    expect(repairExitCode(result)).toBe(1);
    expect(result.steps.some(({ failure }) => failure !== undefined)).toBe(true);
  });

  test("R5: a device that pretends to clear is not believed", async () => {
    const target = await memoryTarget(treeImage(filesystem), { clear: "pretends" });
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 8192), length: 512 });
    const result = await repair({ target, donors: [openDirectoryDonor(backup())] });
    checkSums(result);
    expect(result.sums.repaired).toBe(0);
    expect(result.missing).toBe(512);
  });

  test("meets latent poison beside a hole, and heals it too", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    const pristine = Uint8Array.from(target.bytes);
    const offset = await placeOf(target.map, "/docs/big.bin", 65_536);
    target.device.inject({ offset, length: 512 });
    target.device.inject({ offset: offset + 1024, length: 512 }, { latent: true });
    const result = await repair({ target, donors: [openDirectoryDonor(backup())] });
    expect(result.missing).toBe(0);
    expect(result.sums.repaired).toBe(1024);
    expect(Buffer.compare(target.bytes, pristine)).toBe(0);
  });
});

describe("repair() with an image of the same generation", () => {
  test("heals directories, inode tables, bitmaps and journal, and the files that they hid", async () => {
    const target = await memoryTarget(treeImage());
    const pristine = Uint8Array.from(target.bytes);
    const root = await target.map.extents(2);
    target.device.inject({ offset: root[0]?.device ?? 0, length: 1024 });
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 8192), length: 512 });
    for (const owned of await target.map.owners([{ offset: 0, length: target.map.size }])) {
      const what = owned.owners[0]?.what;
      if (what === "inode-bitmap" || what === "block-bitmap")
        target.device.inject({ offset: owned.offset, length: 512 });
      if (what === "inode" && owned.owners[0]?.inode === 2) target.device.inject(owned);
    }
    const reopened = await describeTarget(target.device, { path: "x" });
    const result = await repair({ target: reopened, donors: [await imageOf(treeImage())] });
    checkSums(result);
    expect(result.missing).toBe(0);
    const directory = result.steps.find(({ owner }) => owner.kind === "directory");
    expect(directory).toMatchObject({
      grade: "proven",
      reason: expect.stringContaining("checksum"),
    });
    expect(Buffer.compare(target.bytes, pristine)).toBe(0);
  });

  test("refuses metadata of an image of another generation, also with trust anything", async () => {
    const target = await memoryTarget(treeImage());
    const root = await target.map.extents(2);
    target.device.inject({ offset: root[0]?.device ?? 0, length: 1024 });
    const other = treeImage();
    // The write time in the superblock: the image was mounted since.
    other[1024 + 0x30] = (other[1024 + 0x30] ?? 0) ^ 1;
    const result = await repair({ target, donors: [await imageOf(other)] }, { trust: "anything" });
    expect(result.sums.repaired).toBe(0);
    expect(result.steps[0]?.action).toBe("refused");
  });

  test("refuses a directory block from a directory, and says what it takes", async () => {
    const target = await memoryTarget(treeImage());
    const root = await target.map.extents(2);
    target.device.inject({ offset: root[0]?.device ?? 0, length: 512 });
    const result = await repair({ target, donors: [openDirectoryDonor(backup())] });
    expect(result.steps[0]).toMatchObject({
      action: "unavailable",
      reason: expect.stringContaining("image of the same generation"),
    });
  });

  test("takes files from an image of any generation by path, graded like any other donor", async () => {
    const target = await memoryTarget(treeImage());
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 8192), length: 512 });
    const other = treeImage();
    other[1024 + 0x30] = (other[1024 + 0x30] ?? 0) ^ 1;
    expect((await repair({ target, donors: [await imageOf(other)] })).missing).toBe(0);
  });
});
