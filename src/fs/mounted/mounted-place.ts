/** MountedPlace: on which mounted file system and block device a path of a live machine lies. */
import { realpathSync, statSync } from "node:fs";
import { StorageError } from "../../base/index.ts";
import {
  blockNodeNumbered,
  deviceNumber,
  mounts,
  type BlockNode,
  type DmTableOptions,
  type Mount,
  type MountsOptions,
  type SysfsOptions,
} from "../../os/index.ts";

/** Where a live file is. */
export interface MountedPlace {
  /** Without symbolic links. */
  readonly path: string;
  /** The same from the root of its file system: "/docs/a.txt". */
  readonly inside: string;
  readonly mount: Mount;
  readonly node: BlockNode;
}

/** Where the system tells of mounts and devices. */
export interface MountedOptions extends MountsOptions, SysfsOptions, DmTableOptions {}

/** File systems whose FIEMAP gives bytes of the one block device that they stand on. */
const PLACING: ReadonlySet<string> = new Set(["ext2", "ext3", "ext4", "xfs"]);

/**
 * Finds the place of a file.
 *
 * @throws {StorageError} ENOENT, EACCES; EOPNOTSUPP where its file system stands on no block device, or does not tell places of it
 */
export function mountedPlace(path: string, options: MountedOptions = {}): MountedPlace {
  const found = findPlace(path, options);
  if (typeof found !== "string") return found;
  throw new StorageError("EOPNOTSUPP", `Cannot place ${path} on a device: ${found}`, {
    path,
    syscall: "open",
  });
}

/** The same, or why it has no place. @throws {StorageError} ENOENT, EACCES */
export function findPlace(path: string, options: MountedOptions = {}): MountedPlace | string {
  let real: string;
  let number: string;
  try {
    real = realpathSync(path);
    number = deviceNumber(statSync(real, { bigint: true }).dev);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code === "EACCES" ? "EACCES" : "ENOENT";
    throw new StorageError(code, `Cannot open ${path}: ${(error as Error).message}`, {
      path,
      syscall: "open",
      cause: error,
    });
  }
  const mount = mountOf(real, number, mounts(options));
  if (mount === undefined) return "no mount with its device number holds it";
  if (!PLACING.has(mount.type))
    return `its file system (${mount.type}) does not tell places on one block device; ${[...PLACING].join(", ")} do`;
  const node = blockNodeNumbered(number, options);
  if (node === undefined) return `sysfs knows no block device ${number}`;
  const inside = `${mount.root === "/" ? "" : mount.root}${real.slice(mount.folder === "/" ? 0 : mount.folder.length)}`;
  return { path: real, inside, mount, node };
}

/** The innermost mount of a device that holds a path; the last of several at one place hides the others. */
function mountOf(path: string, number: string, all: readonly Mount[]): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of all) {
    const { folder } = mount;
    const holds = folder === "/" || path === folder || path.startsWith(`${folder}/`);
    if (mount.number !== number || !holds) continue;
    if (best === undefined || folder.length >= best.folder.length) best = mount;
  }
  return best;
}
