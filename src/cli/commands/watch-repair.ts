/**
 * watch-repair: the standing repair of `watch --repair`: the repair of the command of that name, from donors that prove what they have, without anybody at hand.
 *
 * Nothing is written on a device that somebody uses (mounted, or part of another device): its exclusive opening says so. A target that another process holds is
 * tried again at the next look. Every step stands in the log, as always.
 */
import { closeSync, constants, openSync, statSync } from "node:fs";
import { StorageError } from "../../base/index.ts";
import {
  closeDonors,
  digestSource,
  openDonors,
  openTarget,
  repair,
  RepairLog,
  type Repair,
  type StandingRepair,
} from "../../rescue/index.ts";

/** What it repairs from. */
export interface StandingRepairOptions {
  readonly from: readonly string[];
  /** Path of digests. */
  readonly digest?: string;
  readonly checkpoint: () => Promise<void>;
}

/** Makes the call that repairs a target. It never throws for what the world does. */
export function standingRepair(
  options: StandingRepairOptions,
): (path: string) => Promise<StandingRepair> {
  return async (path) => {
    try {
      refuseUsed(path);
      return outcome(await repairOnce(path, options));
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      const isHeld = error.code === "EBUSY" && error.syscall === "flock";
      return { kind: isHeld ? "later" : "refused", why: error.message };
    }
  };
}

/** Whether somebody uses a block device: the kernel refuses its exclusive opening then. @throws {StorageError} EBUSY */
function refuseUsed(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isBlockDevice() !== true) return;
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
    throw new StorageError(
      "EBUSY",
      `Cannot repair ${path}: it is mounted, or part of another device`,
      { path, syscall: "open", cause: error },
    );
  }
}

async function repairOnce(path: string, options: StandingRepairOptions): Promise<Repair> {
  const { from, digest, checkpoint } = options;
  const log = new RepairLog(path);
  const target = await openTarget(path, { access: "write" });
  try {
    const donors = await openDonors(from, { target: path });
    try {
      return await repair(
        { target, donors, log },
        {
          trust: "proven",
          ...(digest === undefined ? {} : { digest }),
          digests: digestSource(digest, donors),
          checkpoint,
        },
      );
    } finally {
      await closeDonors(donors);
    }
  } finally {
    log.close();
    await target.close();
  }
}

function outcome({ sums, missing }: Repair): StandingRepair {
  const bytes = sums.repaired + sums.zeroed;
  const rest = Object.entries(sums)
    .filter(([name, count]) => name !== "bad" && count > 0)
    .map(([name, count]) => `${name} ${count}`);
  const why = `${rest.join(", ") || "nothing to do"}; ${missing} bytes of data are missing`;
  return bytes > 0 ? { kind: "repaired", bytes, why } : { kind: "refused", why };
}
