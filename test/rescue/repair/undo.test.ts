/** undo: what a repair wrote becomes lost again, only where it still stands, and its bytes are kept. */
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, StorageError } from "../../../src/base/index.ts";
import { openDevice } from "../../../src/device/index.ts";
import { acknowledge, repair, RepairLog, undo } from "../../../src/rescue/index.ts";
import { CrashError, type CrashFiles } from "../../../src/testing/index.ts";
import { contentOf, IMAGE, loggedWorld, recordsOf, withTarget } from "../support/logged.ts";
import { FILES, removeTemporary, treeImage } from "../support/tree.ts";

const pristine = treeImage();
const BIG = "/docs/big.bin";
const PLACES = [
  [BIG, 65_536, 2048],
  [BIG, 131_072 + 256, 256],
  ["/docs/archive.bin", 8192, 1024],
] as const;
afterAll(removeTemporary);

async function repaired(): Promise<Awaited<ReturnType<typeof loggedWorld>>> {
  const world = await loggedWorld(PLACES);
  const result = await withTarget(world.files, (target, log) =>
    repair({ target, donors: [world.donor], log }),
  );
  expect(result.missing).toBe(0);
  return world;
}

function badOf(files: CrashFiles): readonly { offset: number; length: number; state: string }[] {
  const device = openDevice(IMAGE, { files });
  try {
    return [...device.poison.bad({ offset: 0, length: device.size })];
  } finally {
    device.close();
  }
}

describe("undo()", () => {
  test("R1: marks all of the last run lost, keeps its bytes, and another repair heals it", async () => {
    const { files, donor, offsets } = await repaired();
    const undone = await withTarget(files, (target, log) => undo(target, log));
    expect(undone).toMatchObject({ run: 1, bytes: 2048 + 256 + 1024 });
    expect(badOf(files)).toEqual(
      PLACES.map(([, , length], at) => ({ offset: offsets[at], length, state: "lost" })).sort(
        (one, other) => (one.offset ?? 0) - (other.offset ?? 0),
      ),
    );
    const kept = contentOf(files, new RepairLog(IMAGE, files).keptPath);
    for (const record of await recordsOf(files)) {
      if (record.record !== "step" || record.run !== 2) continue;
      const { path = "", fileOffset = 0 } = record.owner;
      const original = FILES.get(path)?.subarray(fileOffset, fileOffset + record.length);
      const at = record.kept ?? -1;
      expect(kept.subarray(at, at + record.length)).toEqual(Buffer.from(original ?? []));
    }
    const again = await withTarget(files, (target, log) =>
      repair({ target, donors: [donor], log }),
    );
    expect(again).toMatchObject({ missing: 0, sums: { repaired: 3328 } });
    expect(Buffer.compare(contentOf(files, IMAGE), pristine)).toBe(0);
  });

  test("R2: one step alone leaves all others and every neighbour as they are", async () => {
    const { files, offsets } = await repaired();
    const steps = (await recordsOf(files)).flatMap((record) =>
      record.record === "step" && record.offset === offsets[1] ? [record.step] : [],
    );
    await withTarget(files, (target, log) => undo(target, log, { run: 1, step: steps[0] }));
    expect(badOf(files)).toEqual([{ offset: offsets[1], length: 256, state: "lost" }]);
    const device = openDevice(IMAGE, { files });
    const bytes = new Uint8Array(device.size);
    const { missing } = await device.read(bytes, 0, "recovery");
    for (const { offset, length } of missing)
      bytes.set(pristine.subarray(offset, offset + length), offset);
    expect(Buffer.compare(bytes, pristine)).toBe(0);
    device.close();
  });

  test("R2: refuses all of it where somebody has written to one range since, and changes nothing", async () => {
    const { files, offsets } = await repaired();
    await withTarget(files, async (target) => {
      await target.device.write(new Uint8Array(256).fill(9), offsets[2] ?? 0);
    });
    const before = contentOf(files, IMAGE);
    await expect(withTarget(files, (target, log) => undo(target, log))).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
    expect(badOf(files)).toEqual([]);
    expect(Buffer.compare(contentOf(files, IMAGE), before)).toBe(0);
  });

  test("R2: refuses all of it where a part of a range went bad again, rather than call it gone", async () => {
    const { files, offsets } = await repaired();
    const again = { offset: offsets[0] ?? 0, length: 512 };
    await withTarget(files, async (target) => {
      target.device.recordBad(again, "poisoned");
      await target.device.flush();
    });
    await expect(withTarget(files, (target, log) => undo(target, log))).rejects.toThrow(
      /512 of its 2048 bytes are bad/,
    );
    expect(badOf(files)).toEqual([{ ...again, state: "poisoned" }]);
  });

  test("a second time there is nothing left, and an undo is not undone", async () => {
    const { files } = await repaired();
    await withTarget(files, (target, log) => undo(target, log));
    const again = await withTarget(files, (target, log) => undo(target, log, { run: 1 }));
    expect(again.bytes).toBe(0);
    expect(again.steps.map(({ outcome }) => outcome)).toEqual(["already", "already", "already"]);
    for (const [what, code] of [
      [{}, "ECANCELED"],
      [{ run: 7 }, "ENOENT"],
      [{ run: 1, step: 99 }, "ENOENT"],
    ] as const) {
      await expect(withTarget(files, (target, log) => undo(target, log, what))).rejects.toThrow(
        expect.objectContaining({ code }),
      );
    }
  });

  test("takes back what was given up", async () => {
    const { files, donor } = await loggedWorld(PLACES);
    await withTarget(files, (target, log) => acknowledge(target, log, { path: BIG, why: "gone" }));
    await withTarget(files, (target, log) => undo(target, log));
    const result = await withTarget(files, (target, log) =>
      repair({ target, donors: [donor], log }),
    );
    expect(result.missing).toBe(0);
    expect(Buffer.compare(contentOf(files, IMAGE), pristine)).toBe(0);
  });

  test("R1 to R4: stopped or failing anywhere, each range is what the run wrote or lost, kept if lost, and the next undo finishes", async () => {
    const start = (await repaired()).files;
    const counting = start.crash("everything");
    const before = counting.operations;
    await withTarget(counting, (target, log) => undo(target, log));
    const operations = counting.operations - before;
    expect(operations).toBeGreaterThan(10);
    for (let at = 1; at <= operations; at += 1) {
      for (const disturb of ["crashAt", "failAt"] as const) {
        const files = start.crash("everything");
        files[disturb](files.operations + at);
        const error: unknown = await withTarget(files, (target, log) => undo(target, log)).catch(
          (thrown: unknown) => thrown,
        );
        const isTold = error instanceof CrashError || error instanceof StorageError;
        expect(isTold || !(error instanceof Error), String(error)).toBe(true);
        for (const how of ["nothing", "everything", createPrng(at)] as const)
          await checkUndone(files.crash(how), `${disturb} ${at} of ${operations}`);
      }
    }
  }, 300_000);
});

async function checkUndone(files: CrashFiles, where: string): Promise<void> {
  const lost = badOf(files);
  const device = openDevice(IMAGE, { files });
  const bytes = new Uint8Array(device.size);
  const { missing } = await device.read(bytes, 0, "recovery");
  for (const { offset, length } of missing)
    bytes.set(pristine.subarray(offset, offset + length), offset);
  expect(Buffer.compare(bytes, pristine), where).toBe(0);
  device.close();
  const kept = (await recordsOf(files)).filter(
    (record) => record.record === "step" && record.action === "lost",
  );
  for (const { offset } of lost)
    expect(
      kept.some((record) => record.record === "step" && record.offset === offset),
      `lost, and not told: ${where}`,
    ).toBe(true);
  await withTarget(files, (target, log) => undo(target, log, { run: 1 }));
  expect(
    badOf(files).reduce((sum, { length }) => sum + length, 0),
    where,
  ).toBe(3328);
}
