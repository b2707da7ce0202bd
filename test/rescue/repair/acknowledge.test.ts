/** acknowledge: what is given up reads as zeros, is written down, and is named until it is restored. */
import { afterAll, describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import {
  acknowledge,
  findDamage,
  givenUp,
  makeManifest,
  missingBytes,
  repair,
  RepairLog,
  undo,
} from "../../../src/rescue/index.ts";
import { CrashError, type CrashFiles } from "../../../src/testing/index.ts";
import { IMAGE, loggedWorld, mediumOf, recordsOf, withTarget } from "../support/logged.ts";
import { removeTemporary, treeImage } from "../support/tree.ts";

const pristine = treeImage();
const BIG = "/docs/big.bin";
const PLACES = [
  [BIG, 65_536, 2048],
  ["/docs/archive.bin", 8192, 1024],
] as const;
afterAll(removeTemporary);

async function namedIn(files: CrashFiles): Promise<readonly (readonly [number, number])[]> {
  return await withTarget(files, async (target, log) =>
    (await givenUp(target, log)).map(({ offset, length }) => [offset, length] as const),
  );
}

describe("acknowledge()", () => {
  test("R2, R4: what is bad of a file becomes zeros, and nothing else changes", async () => {
    const { files, offsets } = await loggedWorld(PLACES);
    const done = await withTarget(files, (target, log) =>
      acknowledge(target, log, { path: BIG, why: "no copy anywhere" }),
    );
    expect(done).toMatchObject({ bytes: 2048, failed: 0 });
    const wanted = Buffer.from(pristine);
    wanted.fill(0, offsets[0], (offsets[0] ?? 0) + 2048);
    const medium = mediumOf(files);
    const poison = { from: offsets[1] ?? 0, to: (offsets[1] ?? 0) + 1024 };
    medium.set(wanted.subarray(poison.from, poison.to), poison.from);
    expect(Buffer.compare(medium, wanted)).toBe(0);
    const missing = await withTarget(files, async (target) =>
      missingBytes(await findDamage(target)),
    );
    expect(missing).toBe(1024);
    expect((await recordsOf(files))[0]).toMatchObject({
      what: "acknowledge",
      why: "no copy anywhere",
    });
  });

  test("takes only what is bad of a range", async () => {
    const { files, offsets } = await loggedWorld(PLACES);
    const ranges = [{ offset: (offsets[0] ?? 0) - 8192, length: 8192 + 1024 }];
    const done = await withTarget(files, (target, log) => acknowledge(target, log, { ranges }));
    expect(done.steps).toMatchObject([{ offset: offsets[0], length: 1024, outcome: "healed" }]);
    expect(await namedIn(files)).toEqual([[offsets[0], 1024]]);
  });

  test("names it until it is undone or restored", async () => {
    const { files, donor, offsets } = await loggedWorld(PLACES);
    await withTarget(files, (target, log) => acknowledge(target, log, { path: BIG }));
    expect(await namedIn(files)).toEqual([[offsets[0], 2048]]);
    await withTarget(files, (target, log) => undo(target, log));
    expect(await namedIn(files)).toEqual([]);
    await withTarget(files, (target, log) => repair({ target, donors: [donor], log }));
    expect(await namedIn(files)).toEqual([]);
    expect(Buffer.compare(mediumOf(files), pristine)).toBe(0);
  });

  test("refuses metadata that was not asked for, and a path that is not there", async () => {
    const { files } = await loggedWorld([]);
    const at = await withTarget(files, async (target) => {
      const [root] = (await target.volumes[0]?.map?.extents(2)) ?? [];
      target.device.recordBad({ offset: root?.device ?? 0, length: 1024 }, "poisoned");
      return root?.device ?? 0;
    });
    const ranges = [{ offset: at, length: 1024 }];
    for (const [what, code] of [
      [{ ranges }, "ECANCELED"],
      [{ path: "/nowhere" }, "ENOENT"],
    ] as const)
      await expect(
        withTarget(files, (target, log) => acknowledge(target, log, what)),
      ).rejects.toThrow(expect.objectContaining({ code }));
    expect(files.paths()).not.toContain(new RepairLog(IMAGE, files).path);
    const done = await withTarget(files, (target, log) =>
      acknowledge(target, log, { ranges, metadata: true }),
    );
    expect(done.bytes).toBe(1024);
  });

  test("R4: stopped anywhere, nothing is off the list that the log does not name", async () => {
    const start = (await loggedWorld(PLACES)).files;
    const counting = start.crash("everything");
    const before = counting.operations;
    await withTarget(counting, (target, log) => acknowledge(target, log, { path: BIG }));
    const operations = counting.operations - before;
    for (let at = 1; at <= operations; at += 1) {
      const files = start.crash("everything");
      files.crashAt(files.operations + at);
      const error: unknown = await withTarget(files, (target, log) =>
        acknowledge(target, log, { path: BIG }),
      ).catch((thrown: unknown) => thrown);
      expect(error instanceof CrashError || files.crashed).toBe(true);
      for (const how of ["nothing", "everything", createPrng(at)] as const) {
        const after = files.crash(how);
        const named = (await namedIn(after)).reduce((sum, [, length]) => sum + length, 0);
        const bad = await withTarget(after, async (target) =>
          Promise.resolve(target.device.poison.totals()),
        );
        expect(named + bad.poisoned + bad.lost, `operation ${at}`).toBe(2048 + 1024);
        await withTarget(after, (target, log) => acknowledge(target, log, { path: BIG }));
        expect((await namedIn(after)).reduce((sum, [, length]) => sum + length, 0)).toBe(2048);
      }
    }
  }, 300_000);
});

describe("givenUp()", () => {
  test("stands in a manifest beside what is missing, each with its reason", async () => {
    const { files, offsets } = await loggedWorld(PLACES);
    await withTarget(files, (target, log) => acknowledge(target, log, { path: BIG, why: "old" }));
    const manifest = await withTarget(files, async (target, log) =>
      makeManifest({
        target: IMAGE,
        damage: await findDamage(target),
        givenUp: await givenUp(target, log),
      }),
    );
    expect(manifest).toMatchObject({ missing: 1024, givenUp: 2048 });
    const byState = new Map(manifest.lost.map((one) => [one.state, one]));
    expect(byState.get("given-up")).toMatchObject({
      paths: [BIG],
      fileOffset: 65_536,
      offset: offsets[0],
      length: 2048,
      reason: expect.stringContaining("old"),
    });
    expect(byState.get("poisoned")).toMatchObject({
      paths: ["/docs/archive.bin"],
      fileOffset: 8192,
      offset: offsets[1],
      length: 1024,
    });
  });
});
