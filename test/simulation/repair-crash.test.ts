/**
 * A repair is stopped at each of its writes, syncs and renames, and fails at each of them, by the crash model of the design. After every crash
 * the image is opened again: nothing that reads as clean may be anything but the original (R1, R3, R4), and a second repair finishes. The same
 * holds for the image alone, copied without its list.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPrng, StorageError, type ErrorCode } from "../../src/base/index.ts";
import { adoptImage, openDevice, type ClearKind } from "../../src/device/index.ts";
import { openDirectoryDonor } from "../../src/donor/index.ts";
import { sidecarPath } from "../../src/poison/index.ts";
import { describeTarget, repair, type Repair } from "../../src/rescue/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import {
  placeOf,
  removeTemporary,
  targetOf,
  temporary,
  treeImage,
  writeTree,
} from "../rescue/support/tree.ts";

const seed = randomSeed();
const IMAGE = "/disk/image";
let root = "";
let pristine: Uint8Array = new Uint8Array();

beforeAll(() => {
  root = temporary();
  writeTree(root);
  pristine = treeImage();
});
afterAll(removeTemporary);

/** A settled world with the image, some poison in the content of files, and nothing else going on. */
async function world(clear: ClearKind): Promise<CrashFiles> {
  const files = createCrashFiles({ seed });
  const image = files.open(IMAGE, { access: "create" });
  image.writeSync(pristine, 0);
  image.close();
  const device = adoptImage(IMAGE, { files, poisonUnit: 256, clearUnit: 1024, clear });
  const { map } = await targetOf(device);
  for (const [path, offset, length] of [
    ["/docs/big.bin", 700_000 - (700_000 % 256), 256],
    ["/docs/big.bin", 800_000 - (800_000 % 256), 5000],
    ["/docs/archive.bin", 4096, 512],
    ["/two-blocks.txt", 256, 256],
  ] as const) {
    device.inject({ offset: await placeOf(map, path, offset), length });
  }
  device.close();
  files.settle();
  return files;
}

async function repairIn(files: CrashFiles): Promise<Repair> {
  const target = await describeTarget(openDevice(IMAGE, { files, access: "write" }), {
    path: IMAGE,
  });
  try {
    return await repair({ target, donors: [openDirectoryDonor(root)] });
  } finally {
    await target.close();
  }
}

/** R1, R3, R4: every byte that can be read is the original one. */
async function checkNothingWrong(
  files: CrashFiles,
  where: string,
  access: "read" | "write" = "write",
): Promise<number> {
  const device = openDevice(IMAGE, { files, access });
  try {
    const bytes = new Uint8Array(device.size);
    const { missing } = await device.read(bytes, 0, "recovery");
    let bad = 0;
    for (const hole of missing) {
      bytes.set(pristine.subarray(hole.offset, hole.offset + hole.length), hole.offset);
      bad += hole.length;
    }
    expect(Buffer.compare(bytes, pristine), `R1, R3, R4: ${where}`).toBe(0);
    const totals = device.poison.totals();
    expect(totals.clean + totals.unread + totals.poisoned + totals.lost, `R7: ${where}`).toBe(
      totals.total,
    );
    expect(totals.poisoned + totals.lost, where).toBe(bad);
    return bad;
  } finally {
    device.close();
  }
}

/** Runs a repair that is stopped or fails, and gives the world as it stands. */
async function disturbed(
  clear: ClearKind,
  disturb: (files: CrashFiles, first: number) => void,
): Promise<{ files: CrashFiles; error: unknown; result: Repair | undefined }> {
  const files = await world(clear);
  disturb(files, files.operations);
  try {
    return { files, error: undefined, result: await repairIn(files) };
  } catch (error) {
    return { files, error, result: undefined };
  }
}

async function operationsOf(clear: ClearKind): Promise<number> {
  const files = await world(clear);
  const before = files.operations;
  expect((await repairIn(files)).missing).toBe(0);
  return files.operations - before;
}

describe.each(["firmware", "atomic", "overwrite"] as const)(
  "repair() of a device whose clear is %s",
  (clear) => {
    test("R1, R3, R4: a crash at any operation leaves no wrong byte, and a second repair finishes (S36, S70)", async () => {
      const operations = await operationsOf(clear);
      expect(operations).toBeGreaterThan(5);
      for (let at = 1; at <= operations; at += 1) {
        const { files, error } = await disturbed(clear, (all, first) => all.crashAt(first + at));
        expect(error === undefined || error instanceof CrashError || files.crashed).toBe(true);
        for (const how of [
          "nothing",
          "everything",
          createPrng(seed + at),
          createPrng(seed - at),
        ] as const) {
          const after = files.crash(how);
          const alone = after.crash("everything");
          alone.remove(sidecarPath(IMAGE));
          const where = `operation ${at} of ${operations}, ${typeof how === "string" ? how : `seed ${how.seed}`}`;
          await checkNothingWrong(after, where);
          await checkNothingWrong(alone, `${where}, the image alone`);
          const second = await repairIn(after);
          expect(second.missing, where).toBe(0);
          expect(await checkNothingWrong(after, where)).toBe(0);
        }
      }
    }, 300_000);

    test.each(["EIO", "ENOSPC"] as const)(
      "R4, R5: %s at any operation is told, and leaves no wrong byte",
      async (code: ErrorCode) => {
        const operations = await operationsOf(clear);
        for (let at = 1; at <= operations; at += 1) {
          const { files, error, result } = await disturbed(clear, (all, first) =>
            all.failAt(first + at, code),
          );
          const where = `operation ${at} of ${operations}`;
          expect(error === undefined || error instanceof StorageError, String(error)).toBe(true);
          // Opened for reading: what the failed session left must not be made durable by another one, or this would test that one.
          const bad = await checkNothingWrong(files, where, "read");
          if (result !== undefined) expect(result.missing, where).toBe(bad);
          for (const how of ["nothing", createPrng(seed + at)] as const) {
            const after = files.crash(how);
            await checkNothingWrong(after, `${where}, then a crash`);
            expect((await repairIn(after)).missing, where).toBe(0);
          }
        }
      },
      300_000,
    );
  },
);
