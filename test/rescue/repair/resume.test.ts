/** resume: an interrupted repair goes on where it stopped, does nothing twice, and does nothing blindly. */
import { rmSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { openDirectoryDonor, type Donor } from "../../../src/donor/index.ts";
import {
  findInterrupted,
  makePlan,
  repair,
  RepairLog,
  type Repair,
} from "../../../src/rescue/index.ts";
import { CrashError, type CrashFiles } from "../../../src/testing/index.ts";
import { contentOf, IMAGE, loggedWorld, recordsOf, withTarget } from "../support/logged.ts";
import { removeTemporary, temporary, treeImage, writeTree } from "../support/tree.ts";

const pristine = treeImage();
const BIG = "/docs/big.bin";
const PLACES = Array.from({ length: 8 }, (_, at) => [BIG, 65_536 * (at + 1), 512] as const);
afterAll(removeTemporary);

interface Stopped {
  readonly files: CrashFiles;
  readonly donor: Donor;
  readonly offsets: readonly number[];
}

/** A repair that was ended, as by a signal, after some of its batches of two steps. */
async function stoppedAfter(batches: number, how: { given?: boolean } = {}): Promise<Stopped> {
  const world = await loggedWorld(PLACES);
  let left = 2 * batches;
  const onStep = (): void => {
    left -= 1;
    if (left === 0) throw new CrashError("ended");
  };
  const ended = withTarget(world.files, async (target, log) => {
    const plan = how.given === true ? { plan: await makePlan(target, [world.donor]) } : {};
    const parts = { target, donors: [world.donor], log, ...plan };
    return await repair(parts, { onStep, batchSteps: 2 });
  });
  await expect(ended).rejects.toThrow("ended");
  return world;
}

async function resume(
  files: CrashFiles,
  donors: readonly Donor[],
  onStep: (offset: number) => void = () => undefined,
): Promise<Repair> {
  return await withTarget(files, async (target, log) => {
    const interrupted = await findInterrupted(log);
    if (interrupted === undefined) throw new Error("nothing was interrupted");
    return await repair(
      { target, donors, log, interrupted },
      { onStep: ({ offset }) => onStep(offset), batchSteps: 2 },
    );
  });
}

describe("findInterrupted()", () => {
  test("finds a repair that did not end, with its donors and its plan, and none otherwise", async () => {
    const { files, donor } = await stoppedAfter(2);
    const found = await findInterrupted(new RepairLog(IMAGE, files));
    expect(found?.request).toMatchObject({ donors: [donor.name], trust: "consistent" });
    expect(found?.plan?.steps).toHaveLength(PLACES.length);
    await resume(files, [donor]);
    expect(await findInterrupted(new RepairLog(IMAGE, files))).toBeUndefined();
    const fresh = await loggedWorld(PLACES);
    expect(await findInterrupted(new RepairLog(IMAGE, fresh.files))).toBeUndefined();
  });
});

describe("repair() that goes on", () => {
  test("R7: does what is left, nothing twice, and tells the figures of all of it", async () => {
    const { files, donor, offsets } = await stoppedAfter(2);
    const did: number[] = [];
    const result = await resume(files, [donor], (offset) => did.push(offset));
    const ascending = [...offsets].sort((one, other) => one - other);
    expect(did).toEqual(ascending.slice(4));
    expect(result).toMatchObject({
      missing: 0,
      sums: { bad: 8 * 512, repaired: 8 * 512, failed: 0 },
      before: { poisoned: 8 * 512 },
      totals: { poisoned: 0, lost: 0 },
    });
    expect(Buffer.compare(contentOf(files, IMAGE), pristine)).toBe(0);
  });

  test("R2: leaves what somebody has written since, and makes another plan for the rest", async () => {
    const { files, donor, offsets } = await stoppedAfter(2);
    const [first = 0] = [...offsets].sort((one, other) => one - other);
    await withTarget(files, async (target) => {
      await target.device.write(new Uint8Array(1024).fill(7), first);
    });
    const result = await resume(files, [donor]);
    expect(result.missing).toBe(0);
    const wanted = Buffer.from(pristine).fill(7, first, first + 1024);
    expect(Buffer.compare(contentOf(files, IMAGE), wanted)).toBe(0);
    const ends = (await recordsOf(files)).filter(({ record }) => record === "end");
    expect(ends).toMatchObject([
      { run: 1, result: "stale" },
      { run: 2, result: "complete" },
    ]);
  });

  test("refuses a plan that was given where somebody has written since, and changes nothing", async () => {
    const { files, donor, offsets } = await stoppedAfter(2, { given: true });
    const [first = 0] = [...offsets].sort((one, other) => one - other);
    await withTarget(files, async (target) => {
      await target.device.write(new Uint8Array(1024).fill(7), first);
    });
    const before = contentOf(files, IMAGE);
    await expect(resume(files, [donor])).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
    expect(Buffer.compare(contentOf(files, IMAGE), before)).toBe(0);
  });

  test.each(["gone", "of another repair", "torn"])(
    "makes another plan where that beside the log is %s",
    async (how) => {
      const { files, donor } = await stoppedAfter(2);
      const { planPath } = new RepairLog(IMAGE, files);
      const text = contentOf(files, planPath);
      files.remove(planPath);
      if (how !== "gone") {
        const file = files.open(planPath, { access: "create" });
        const other = how === "torn" ? text.subarray(0, 100) : Buffer.from(`${String(text)} `);
        file.writeSync(other, 0);
        file.close();
      }
      expect(await resume(files, [donor])).toMatchObject({ missing: 0 });
      expect(Buffer.compare(contentOf(files, IMAGE), pristine)).toBe(0);
    },
  );

  test("R9: a donor that is gone by then costs its own steps; what was healed stays", async () => {
    const { files } = await stoppedAfter(2);
    const empty = temporary();
    const result = await resume(files, [openDirectoryDonor(empty)]);
    expect(result).toMatchObject({
      missing: 4 * 512,
      sums: { repaired: 4 * 512, failed: 4 * 512 },
    });
    expect(result.steps.filter(({ outcome }) => outcome === "donor-changed")).toHaveLength(4);
  });
});

describe("repair() whose donor vanishes half-way", () => {
  test("R9: heals what it could, says what it could not, and a second one with the donor back heals the rest", async () => {
    const small = [0, 98_304, 196_608].map((at) => ["/docs/archive.bin", at, 512] as const);
    const { files, donor } = await loggedWorld([...PLACES, ...small]);
    const root = temporary();
    writeTree(root);
    const vanish = (): void => rmSync(root, { recursive: true, force: true });
    const result = await withTarget(files, (target, log) =>
      repair(
        { target, donors: [openDirectoryDonor(root)], log },
        { batchSteps: 1, onStep: vanish },
      ),
    );
    const { repaired, failed } = result.sums;
    expect([repaired > 0, failed > 0, repaired + failed]).toEqual([true, true, 11 * 512]);
    expect(result.missing).toBe(failed);
    const again = await withTarget(files, (target, log) =>
      repair({ target, donors: [donor], log }),
    );
    expect(again.missing).toBe(0);
    expect(Buffer.compare(contentOf(files, IMAGE), pristine)).toBe(0);
  });
});
