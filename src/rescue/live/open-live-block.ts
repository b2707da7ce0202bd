/** openLiveBlock: a block device of this machine as a target: its list from the kernel, its bytes past the page cache, written only where nobody else uses it. */
import { StorageError } from "../../base/index.ts";
import { blockStatePath, LiveMedia, MediaDevice, openLiveState } from "../../device/index.ts";
import {
  askedOnce,
  blockNodeOf,
  missingCapability,
  openDirectFile,
  type BlockNode,
  type DirectFile,
} from "../../os/index.ts";
import { kernelList } from "../../poison/index.ts";
import type { StateRange } from "../../poison/index.ts";
import { describeTarget } from "../describe-target.ts";
import type { Target, TargetOptions } from "../target.ts";
import { refuseInUse, whoUses } from "./in-use.ts";
import { liveCapabilities } from "./live-capabilities.ts";
import { takeLiveList } from "./live-list.ts";

/** How a live target is opened: the list of `--poison` is read by the caller. */
export interface OpenLiveOptions extends Pick<TargetOptions, "access" | "system"> {
  readonly given?: readonly StateRange[];
  readonly notes?: readonly string[];
}

/**
 * Opens a block device.
 *
 * @throws {StorageError} EBUSY where it is to be written and is mounted, or a part of another device; EACCES, EPERM naming what is missing;
 *   ENOENT where it went away
 */
export async function openLiveBlock(path: string, options: OpenLiveOptions = {}): Promise<Target> {
  const { access = "read", given = [], notes = [] } = options;
  const system = askedOnce(options.system ?? {});
  const node = blockNodeOf(path, system);
  if (node === undefined)
    throw new StorageError("ENOENT", `Cannot open ${path}: sysfs does not know the device`, {
      path,
      syscall: "open",
    });
  if (access === "write") refuseInUse(path, node, system);
  const statePath = blockStatePath(node);
  const file = openFor(path, node, access);
  let target: Target | undefined;
  try {
    const list = kernelList(node, system);
    const media = new LiveMedia({
      file,
      size: file.size(),
      // A block device heals by a write of whole physical blocks; of persistent memory the driver clears below it.
      capabilities: liveCapabilities(node, {
        access,
        listsErrors: list.isListed,
        poisonUnit: node.isMemory ? node.logicalBlock : node.physicalBlock,
        clearUnit: node.physicalBlock,
      }),
      listed: () => kernelList(node, system).ranges,
    });
    const state = openLiveState(statePath, { size: media.size, access, name: path });
    const device = new MediaDevice(media, state);
    const more = takeLiveList({ device, media, kernel: list.ranges, given, access });
    const used = access === "read" ? whoUses(node, system) : undefined;
    const inUse =
      used === undefined
        ? []
        : [
            `${path} is ${used} and in use: owners are as of what is on it now, and may move; a file's own path asks the kernel`,
          ];
    target = await describeTarget(device, {
      path,
      notes: [...notes, ...list.notes, ...more, ...inUse],
    });
    return { ...target, live: { statePath } };
  } catch (error) {
    if (target === undefined) file.close();
    throw error;
  }
}

function openFor(path: string, node: BlockNode, access: "read" | "write"): DirectFile {
  try {
    return openDirectFile(path, {
      access,
      unit: node.logicalBlock,
      alone: access === "write",
    });
  } catch (error) {
    throw missingCapability(error, path) ?? error;
  }
}
