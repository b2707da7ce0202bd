/**
 * LiveLook: a look at a file of a mounted file system, by the kernel's list of the device below it.
 *
 * Whoever opens a file breaks the lease of a repair that is at work on it. So it is opened only where the list or the file is another than before, and nobody
 * holds a lease on it; `stat` and sysfs break none.
 */
import { readFileSync, statSync } from "node:fs";
import { findPlace } from "../../fs/index.ts";
import { nodeFiles } from "../../os/index.ts";
import { kernelList, sidecarPath, type PoisonTotals } from "../../poison/index.ts";
import { openTarget } from "../open-target.ts";
import { badOf, type BadSets } from "./list-change.ts";

/** What is bad in the file. */
export interface LiveSeen {
  readonly size: number;
  readonly bad: BadSets;
  readonly totals: PoisonTotals;
}

/** Looks at one file. */
export class LiveLook {
  readonly path: string;
  #stamp = "";
  /** Whether the path was a live file when it was opened last. */
  isLive = false;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Looks.
   *
   * @returns "same" where nothing is new, or it may not be opened now; `undefined` where it is no file with a list below it
   * @throws {StorageError} where it cannot be opened
   */
  async look(): Promise<LiveSeen | "same" | undefined> {
    const stamp = this.#stampNow();
    if (stamp === undefined) return undefined;
    if (stamp === this.#stamp) return this.isLive ? "same" : undefined;
    if (isLeased(this.path)) return "same";
    const target = await openTarget(this.path);
    try {
      this.#stamp = stamp;
      this.isLive = target.live?.file !== undefined;
      if (!this.isLive) return undefined;
      const { poison, size } = target.device;
      return { size, bad: badOf(poison), totals: poison.totals() };
    } finally {
      await target.close();
    }
  }

  /** What shows that something may be new; `undefined` where no list is kept below the file, or it has its own. */
  #stampNow(): string | undefined {
    const { path } = this;
    if (nodeFiles.info(sidecarPath(nodeFiles.real?.(path) ?? path)) !== undefined) return undefined;
    const place = findPlace(path);
    if (typeof place === "string") return undefined;
    const list = kernelList(place.node);
    if (!list.isListed) return undefined;
    const { ino, size, mtimeMs } = statSync(path);
    return JSON.stringify([ino, size, mtimeMs, list.ranges]);
  }
}

/** Whether anybody holds a lease on a file, by /proc/locks (proc(5)): `1: LEASE ACTIVE WRITE 4242 08:01:131 0 EOF`. */
export function isLeased(path: string, locks = "/proc/locks"): boolean {
  let text = "";
  try {
    text = readFileSync(locks, "latin1");
  } catch {
    // where nobody tells, nobody is known to hold one
  }
  const inode = String(statSync(path, { bigint: true }).ino);
  return text.split("\n").some((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[1] === "LEASE" && fields[5]?.split(":")[2] === inode;
  });
}
