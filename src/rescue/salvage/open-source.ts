/**
 * openSource: what a salvage opens: an image or stack, mapped where it can be, or a block device or file on a live machine, read past the page cache by a process of its own.
 */
import { RangeSet, type ByteRange } from "../../base/index.ts";
import { openLiveDevice } from "../../device/index.ts";
import { blockNodeOf, nodeFiles } from "../../os/index.ts";
import { kernelList, type KernelList, type StateRange } from "../../poison/index.ts";
import { describeTarget } from "../describe-target.ts";
import { listFor, openTarget } from "../open-target.ts";
import type { Target } from "../target.ts";

/** How a source is opened. */
export interface OpenSourceOptions {
  /** List of bad ranges that came with it. @default none */
  readonly poison?: string;
  /** Whether a file is read as a live one; a block device always is. @default false */
  readonly direct?: boolean;
  /** Milliseconds that one read of a live source may take. @default 60,000 */
  readonly limitMs?: number;
}

/**
 * Opens a source for reading.
 *
 * @throws {StorageError} as `openTarget`
 */
export async function openSource(path: string, options: OpenSourceOptions = {}): Promise<Target> {
  const { poison } = options;
  const isBlock = nodeFiles.info(path)?.kind === "block";
  if (options.direct !== true && !isBlock)
    return await openTarget(path, { map: true, ...(poison === undefined ? {} : { poison }) });
  return await openByAttempts(path, options, isBlock);
}

async function openByAttempts(
  path: string,
  { poison, limitMs }: OpenSourceOptions,
  isBlock: boolean,
): Promise<Target> {
  const list = await listFor(path, poison);
  const kernel = isBlock ? kernelListOf(path) : undefined;
  const device = await openLiveDevice(path, {
    poison: [...(list?.ranges ?? []), ...poisonedIn(kernel)],
    ...(limitMs === undefined ? {} : { limitMs }),
  });
  try {
    return await describeTarget(device, {
      path,
      notes: [...(list?.notes ?? []), ...(kernel?.notes ?? [])],
    });
  } catch (error) {
    device.close();
    throw error;
  }
}

function poisonedIn(kernel: KernelList | undefined): readonly StateRange[] {
  return (kernel?.ranges ?? []).map(({ offset, length }) => ({
    offset,
    length,
    state: "poisoned",
  }));
}

/** What the kernel lists of a block device. */
function kernelListOf(path: string): KernelList | undefined {
  const node = blockNodeOf(path);
  return node === undefined ? undefined : kernelList(node);
}

/**
 * What file systems and partition tables use, and everything of which nobody knows whether it is used: all but space that is known to be free.
 * Reads bitmaps.
 */
export async function usedSpace(target: Target): Promise<readonly ByteRange[]> {
  const used = new RangeSet();
  for (const { offset, length, map } of target.volumes) {
    if (map === undefined) {
      used.add(offset, length);
      continue;
    }
    for (const range of await map.used()) used.add(offset + range.offset, range.length);
    // Behind its end a file system uses nothing, and others may use it.
    if (map.size < length) used.add(offset + map.size, length - map.size);
  }
  for (const { offset, length, what } of target.outside)
    if (what === "partition-table") used.add(offset, length);
  return [...used];
}
