/**
 * watch-repair: the standing repair of `watch --repair`: the repair of the command of that name, from donors that prove what they have, without anybody at hand.
 *
 * Nothing is written on a device that somebody uses (mounted, or part of another device). A target that another process holds is tried again at the next look.
 * Every step stands in the log, as always.
 */
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
import { nodeFiles } from "../../os/index.ts";
import { donorNames } from "./live-option.ts";

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
      return outcome(await repairOnce(path, options));
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      // locked, or open: its holder goes away; mounted, or part of another device, is no matter of waiting
      const isHeld = error.code === "EBUSY" && error.syscall !== "open";
      return { kind: isHeld ? "later" : "refused", why: error.message };
    }
  };
}

async function repairOnce(path: string, options: StandingRepairOptions): Promise<Repair> {
  const { from, digest, checkpoint } = options;
  const target = await openTarget(path, { access: "write" });
  const log = new RepairLog(path, nodeFiles, target.live?.statePath);
  try {
    const donors = await openDonors(donorNames(target, from), { target: path });
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
