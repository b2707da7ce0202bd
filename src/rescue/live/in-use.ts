/** InUse: who uses a block device of this machine, so that nobody writes under them. */
import { StorageError } from "../../base/index.ts";
import type { MountedOptions } from "../../fs/index.ts";
import { mounts, nodesUpon, type BlockNode } from "../../os/index.ts";

/** Who uses a device: where it or what is made of it is mounted, or of which device it is a part; `undefined` where nobody is known. */
export function whoUses(node: BlockNode, options: MountedOptions = {}): string | undefined {
  const upon = nodesUpon(node, options);
  const mounted = mounts(options).find(({ number }) => upon.some((one) => one.number === number));
  if (mounted !== undefined) return `mounted at ${mounted.folder}`;
  const holder = upon.flatMap(({ holders }) => holders)[0];
  return holder === undefined ? undefined : `a part of ${holder}`;
}

/** Refuses to write to a device that somebody uses. @throws {StorageError} EBUSY */
export function refuseInUse(path: string, node: BlockNode, options: MountedOptions = {}): void {
  const who = whoUses(node, options);
  if (who === undefined) return;
  const way = who.startsWith("mounted")
    ? "unmount it, or repair its files by their own paths"
    : "repair that one, or take it apart first";
  throw new StorageError("EBUSY", `Refused to write to ${path}: it is ${who}: ${way}`, {
    path,
    syscall: "open",
  });
}
