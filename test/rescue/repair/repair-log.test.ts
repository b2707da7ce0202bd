/** repair-log: a log that cannot be written ends the work before the next step; what was done stands. */
import { afterAll, describe, expect, test } from "vitest";
import { StorageError } from "../../../src/base/index.ts";
import { openDevice } from "../../../src/device/index.ts";
import type { HostFiles } from "../../../src/os/index.ts";
import {
  acknowledge,
  describeTarget,
  findInterrupted,
  repair,
  RepairLog,
} from "../../../src/rescue/index.ts";
import { createCrashFiles } from "../../../src/testing/index.ts";
import { contentOf, IMAGE, loggedWorld, recordsOf, withTarget } from "../support/logged.ts";
import { removeTemporary, treeImage } from "../support/tree.ts";

const BIG = "/docs/big.bin";
const PLACES = Array.from({ length: 6 }, (_, at) => [BIG, 65_536 * (at + 1), 512] as const);
const RUN = { record: "resumed", run: 1, at: "", generation: 1 } as const;
const totals = { total: 0, clean: 0, unread: 0, poisoned: 0, lost: 0 };
afterAll(removeTemporary);

describe("RepairLog", () => {
  test("R3, R4: a disk that fills up with the log ends the repair between two steps, and it goes on when there is room", async () => {
    const { files, donor } = await loggedWorld(PLACES);
    const before = contentOf(files, IMAGE);
    for (const spare of [0, 1, 2, 3, 4, 5]) {
      const full = files.crash("everything");
      full.capacity = 0;
      const used = roomFor(full);
      full.capacity = used + spare * 4096;
      const ended = withTarget(full, (target, log) =>
        repair({ target, donors: [donor], log }, { batchSteps: 1 }),
      );
      const error: unknown = await ended.catch((thrown: unknown) => thrown);
      if (error instanceof StorageError) expect(error.code).toBe("ENOSPC");
      full.capacity = Number.POSITIVE_INFINITY;
      if (error instanceof StorageError && spare === 0)
        expect(Buffer.compare(contentOf(full, IMAGE), before)).toBe(0);
      const found = await findInterrupted(new RepairLog(IMAGE, full));
      const interrupted = found === undefined ? {} : { interrupted: found };
      const result = await withTarget(full, (target, log) =>
        repair({ target, donors: [donor], log, ...interrupted }),
      );
      expect(result.missing).toBe(0);
      expect(Buffer.compare(contentOf(full, IMAGE), Buffer.from(treeImage()))).toBe(0);
    }
  }, 300_000);

  test.each(["EACCES", "EPERM", "EISDIR", "EBUSY"] as const)(
    "a log that cannot be opened (%s) ends the repair before the first byte",
    async (code) => {
      const { files, donor } = await loggedWorld(PLACES);
      const { path } = new RepairLog(IMAGE, files);
      const refusing: HostFiles = {
        ...forward(files),
        open: (name, options) => {
          if (name === path) throw new StorageError(code, `Cannot open ${name}`, { path: name });
          return files.open(name, options);
        },
      };
      const before = contentOf(files, IMAGE);
      const ended = withTarget(files, (target) =>
        repair({ target, donors: [donor], log: new RepairLog(IMAGE, refusing) }),
      );
      await expect(ended).rejects.toThrow(expect.objectContaining({ code }));
      expect(Buffer.compare(contentOf(files, IMAGE), before)).toBe(0);
    },
  );

  test("is not begun where the target is open for reading: EACCES, and no file is made", async () => {
    const { files, donor } = await loggedWorld(PLACES);
    const before = files.paths();
    const device = openDevice(IMAGE, { files });
    const target = await describeTarget(device, { path: IMAGE });
    const log = new RepairLog(IMAGE, files);
    for (const work of [
      () => repair({ target, donors: [donor], log }),
      () => acknowledge(target, log, { path: BIG }),
    ])
      await expect(work()).rejects.toThrow(expect.objectContaining({ code: "EACCES" }));
    device.close();
    expect(files.paths()).toEqual(before);
  });

  test("makes no file before there is something to say", async () => {
    const { files, donor } = await loggedWorld([]);
    const before = files.paths();
    await withTarget(files, (target, log) => repair({ target, donors: [donor], log }));
    expect(files.paths()).toEqual(before);
  });

  test("goes on behind a torn end, and numbers its runs on", async () => {
    const files = createCrashFiles();
    const log = new RepairLog(IMAGE, files);
    log.append([{ ...RUN, totals }]);
    log.close();
    const file = files.open(log.path, { access: "write" });
    file.writeSync(Buffer.from('{"record":"run","run":9'), file.size());
    file.close();
    const again = new RepairLog(IMAGE, files);
    again.append([{ ...RUN, run: 2, totals }]);
    again.close();
    expect((await recordsOf(files)).map(({ run }) => run)).toEqual([1, 2]);
    expect(await again.nextRun()).toBe(3);
  });

  test("writes nothing more after a write that failed: nobody knows what of it is durable", () => {
    const files = createCrashFiles();
    const log = new RepairLog(IMAGE, files);
    log.append([{ ...RUN, totals }]);
    files.failAt(files.operations + 2);
    for (const wanted of ["EIO", "EIO"])
      expect(() => log.append([{ ...RUN, totals }])).toThrow(
        expect.objectContaining({ code: wanted }),
      );
    expect(files.operations).toBe(files.counts.create + files.counts.syncDirectory + 4);
  });
});

/** Bytes of a modelled disk that are used now, in pages. */
function roomFor(files: ReturnType<typeof createCrashFiles>): number {
  return files.paths().reduce((sum, path) => {
    const size = files.info(path)?.size ?? 0;
    return sum + Math.ceil(size / 4096) * 4096;
  }, 0);
}

function forward(files: HostFiles): HostFiles {
  return {
    open: (path, options) => files.open(path, options),
    info: (path) => files.info(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    syncDirectoryOf: (path) => files.syncDirectoryOf(path),
  };
}
