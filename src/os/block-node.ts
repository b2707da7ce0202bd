/**
 * BlockNode: what sysfs tells of one block device: its disk, where on it a partition begins, its blocks, and what stands above and below it.
 *
 * Everything is read below one folder (`/sys`), which tests and containers may replace.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isPowerOfTwo, SECTOR, StorageError } from "../base/index.ts";
import { hostError } from "./host-error.ts";

/** One block device. Sizes in bytes. */
export interface BlockNode {
  /** As the kernel calls it: "pmem0", "sda1", "dm-3". */
  readonly name: string;
  /** "MAJOR:MINOR". */
  readonly number: string;
  /** Its real folder in sysfs. */
  readonly folder: string;
  /** The disk that it is a part of, or itself. */
  readonly disk: string;
  readonly diskFolder: string;
  /** Number of the partition; `undefined`: a whole disk. */
  readonly partition: string | undefined;
  /** First byte on the disk. */
  readonly start: number;
  readonly size: number;
  readonly logicalBlock: number;
  readonly physicalBlock: number;
  /** Whether it is memory that can be mapped (`queue/dax`). */
  readonly isMemory: boolean;
  /** Devices that are made of it: their names. Whoever writes it writes them. */
  readonly holders: readonly string[];
  /** Devices that it is made of (device-mapper, md): their names. */
  readonly slaves: readonly string[];
}

/** Where sysfs is. */
export interface SysfsOptions {
  /** @default "/sys" */
  readonly sysfs?: string;
}

/** "MAJOR:MINOR" of a device number, as glibc splits it. */
export function deviceNumber(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffff_ffffn);
  return `${major}:${minor}`;
}

/**
 * The block device of a path, "/dev/pmem0".
 *
 * @returns `undefined` where it is no block device, or sysfs does not know it
 * @throws {StorageError} ENOENT, EACCES
 */
export function blockNodeOf(path: string, options: SysfsOptions = {}): BlockNode | undefined {
  let stats: { isBlockDevice(): boolean; readonly rdev: bigint };
  try {
    stats = statSync(path, { bigint: true });
  } catch (error) {
    throw hostError(error, "stat", path);
  }
  return stats.isBlockDevice() ? blockNodeNumbered(deviceNumber(stats.rdev), options) : undefined;
}

/** The block device with a number. @returns `undefined` where sysfs knows none: of a file system without a device */
export function blockNodeNumbered(
  number: string,
  options: SysfsOptions = {},
): BlockNode | undefined {
  const { sysfs = "/sys" } = options;
  return nodeIn(join(sysfs, "dev/block", number));
}

/** The block device that the kernel calls so. @throws {StorageError} ENOENT */
export function blockNodeNamed(name: string, options: SysfsOptions = {}): BlockNode {
  const { sysfs = "/sys" } = options;
  // A name with a slash has an exclamation mark in sysfs.
  const node = nodeIn(join(sysfs, "class/block", name.replaceAll("/", "!")));
  if (node !== undefined) return node;
  throw new StorageError("ENOENT", `Cannot find block device "${name}" in ${sysfs}/class/block`, {
    path: name,
    syscall: "open",
  });
}

/** A device, its partitions, and everything that is made of any of them: whoever uses one of these uses the device. */
export function nodesUpon(node: BlockNode, options: SysfsOptions = {}): readonly BlockNode[] {
  const found = new Map<string, BlockNode>();
  const visit = (one: BlockNode): void => {
    if (found.has(one.name)) return;
    found.set(one.name, one);
    const parts = sysfsNames(one.folder).filter(
      (name) => sysfsText(join(one.folder, name, "partition")) !== undefined,
    );
    for (const name of [...parts, ...one.holders]) {
      const { sysfs = "/sys" } = options;
      const next = nodeIn(join(sysfs, "class/block", name));
      if (next !== undefined) visit(next);
    }
  };
  visit(node);
  return [...found.values()];
}

function nodeIn(link: string): BlockNode | undefined {
  let folder: string;
  try {
    folder = realpathSync(link);
  } catch {
    return undefined;
  }
  const partition = sysfsText(join(folder, "partition"));
  const diskFolder = partition === undefined ? folder : dirname(folder);
  const logicalBlock = blockIn(diskFolder, "logical");
  return {
    name: basename(folder),
    number: sysfsText(join(folder, "dev")) ?? "",
    folder,
    disk: basename(diskFolder),
    diskFolder,
    partition,
    start: partition === undefined ? 0 : sectorsIn(join(folder, "start")),
    size: sectorsIn(join(folder, "size")),
    logicalBlock,
    physicalBlock: Math.max(logicalBlock, blockIn(diskFolder, "physical")),
    isMemory: sysfsText(join(diskFolder, "queue/dax")) === "1",
    holders: sysfsNames(join(folder, "holders")),
    slaves: sysfsNames(join(folder, "slaves")),
  };
}

function blockIn(diskFolder: string, kind: "logical" | "physical"): number {
  const told = Number(sysfsText(join(diskFolder, `queue/${kind}_block_size`)) ?? SECTOR);
  return isPowerOfTwo(told) && told >= SECTOR ? told : SECTOR;
}

function sectorsIn(path: string): number {
  const told = Number(sysfsText(path) ?? 0);
  return Number.isSafeInteger(told) && told > 0 ? told * SECTOR : 0;
}

/** What a file of sysfs says, without the newline; `undefined` where there is none, or it says nothing. */
export function sysfsText(path: string): string | undefined {
  const text = sysfsWhole(path)?.trim();
  return text === "" ? undefined : text;
}

/** All that a file of sysfs says; `undefined` where it cannot be read. */
export function sysfsWhole(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}

/** Names in a folder of sysfs, sorted; none where there is no such folder. */
export function sysfsNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
