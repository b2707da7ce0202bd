/** CrashInode: a file of the modelled machine, with what each sync did and did not make durable. */
import type { Prng } from "../base/index.ts";
import { applyChange, applyTorn, CrashBytes, type ContentChange } from "./crash-bytes.ts";

type Durability = "durable" | "pending" | "doomed";

interface Change {
  readonly change: ContentChange;
  durability: Durability;
}

/** A file apart from its names: its content as programs see it, and what of it is durable. */
export class CrashInode {
  /** As reads see it. */
  current: CrashBytes = new CrashBytes();
  /** Content up to the first change in `changes`. */
  base: CrashBytes = new CrashBytes();
  changes: Change[] = [];
  /** Nanoseconds. */
  modified: bigint = 0n;
  sharedLocks: number = 0;
  exclusiveLock: boolean = false;

  /** Makes a change that is not durable yet. */
  change(change: ContentChange): void {
    applyChange(this.current, change);
    this.changes.push({ change, durability: "pending" });
  }

  /** A sync that succeeds: all is durable but what an earlier failed sync gave up. */
  sync(): void {
    for (const change of this.changes)
      if (change.durability === "pending") change.durability = "durable";
    if (this.changes.some((change) => change.durability === "doomed")) return;
    for (const { change } of this.changes) applyChange(this.base, change);
    this.changes = [];
  }

  /** A sync that fails: nothing since the last good one will ever be made durable by another. */
  doom(): void {
    for (const change of this.changes)
      if (change.durability === "pending") change.durability = "doomed";
  }

  /** The file as one crash leaves it. */
  afterCrash(how: Prng | "nothing" | "everything"): CrashInode {
    const left = new CrashInode();
    const content = this.base.clone();
    for (const { change, durability } of this.changes) {
      if (durability === "durable" || how === "everything") applyChange(content, change);
      else if (how !== "nothing") applyTorn(content, change, how);
    }
    left.base = content;
    left.current = content.clone();
    left.modified = this.modified;
    return left;
  }
}
