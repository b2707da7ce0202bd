/**
 * openFile(): a whole device, or one file of the file system on it, as something to call preadv2 and pwritev2 on.
 *
 * The map of a file is taken when it is opened: nobody else changes the metadata of an image that is held, and no call here does (R8).
 */
import { StorageError } from "../base/index.ts";
import { ExtentTable, type FileExtent } from "../dax/index.ts";
import type { Device } from "../device/index.ts";
import type { Extent, FileInfo, FileMap } from "../fs/index.ts";
import type { Face, File } from "./file.ts";
import { OpenedFile } from "./opened-file.ts";
import type { WritePlace } from "./request.ts";

/** What of a device is opened, and how it is reached. */
export interface OpenFileOptions {
  /** Map of the file system that begins at the device's byte 0. @default none: the whole device is opened */
  readonly map?: FileMap;
  /** Absolute path in the file system; symbolic links are not followed. */
  readonly path?: string;
  /** Inode, instead of a path. */
  readonly inode?: number;
  /** @default "dax" where all of the file has direct access, else "buffered" */
  readonly face?: Face;
}

/**
 * Opens a device, or a file on it. The device must stay open as long as the file is used.
 *
 * @throws {TypeError} if a map comes without path and inode, or they without a map
 * @throws {StorageError} ENOENT if there is no such file; EISDIR; EOPNOTSUPP if it has no direct access and `face` asks for it, or
 *   is a device, socket or symbolic link
 */
export async function openFile(device: Device, options: OpenFileOptions = {}): Promise<File> {
  const { map, path, inode } = options;
  if (map === undefined) {
    if (path !== undefined || inode !== undefined)
      throw new TypeError(
        "Cannot open a file: want the map of its file system beside its path or inode",
      );
    return openDeviceFile(device, options.face);
  }
  const number = inode ?? (await inodeOf(map, path));
  const name = path ?? `inode ${number}`;
  const info = await map.info(number);
  if (info === undefined)
    throw new StorageError("ENOENT", `Cannot open ${name}: its inode is free or cannot be read`, {
      path: name,
    });
  checkKind(info, name);
  const told = await map.extents(number, { pastEnd: true });
  const extents = new ExtentTable(told);
  const frozen = frozenBy(map, info) ?? frozenByOthers(told);
  const place = { name, size: info.size, extents, isDevice: false, frozen };
  return opened(device, place, options.face);
}

/** A whole device as a file. */
function openDeviceFile(device: Device, face: Face | undefined): File {
  const { size } = device;
  const whole: FileExtent[] =
    size === 0 ? [] : [{ offset: 0, length: size, kind: "data", device: 0 }];
  const { name } = device.identity;
  const extents = new ExtentTable(whole);
  return opened(device, { name, size, extents, isDevice: true, frozen: undefined }, face);
}

async function inodeOf(map: FileMap, path: string | undefined): Promise<number> {
  if (path === undefined) throw new TypeError("Cannot open a file: want its path or its inode");
  const inode = await map.lookup(path);
  if (inode !== undefined) return inode;
  throw new StorageError("ENOENT", `Cannot open ${path}: the file system has no such path`, {
    path,
  });
}

function checkKind(info: FileInfo, name: string): void {
  if (info.kind === "file") return;
  if (info.kind === "directory")
    throw new StorageError("EISDIR", `Cannot open ${name}: it is a directory`, { path: name });
  const what = info.kind === "symlink" ? "a symbolic link" : "a device, pipe or socket";
  throw new StorageError("EOPNOTSUPP", `Cannot open ${name}: want a regular file: it is ${what}`, {
    path: name,
  });
}

/** Why no byte of a file may be written in place, whoever asks. */
function frozenBy(map: FileMap, info: FileInfo): WritePlace["frozen"] {
  if (map.journal.pending) {
    return {
      code: "ECANCELED",
      why: `the journal is not replayed, and an owner may have moved: ${map.journal.message}`,
    };
  }
  if (info.verity)
    return { code: "EOPNOTSUPP", why: "fs-verity protects it, and it can never change" };
  if (info.encrypted)
    return { code: "EOPNOTSUPP", why: "it is encrypted, and plain bytes would be no data of it" };
  return undefined;
}

/** A write in place would change the files that share the blocks: what is bad in them is repaired for all at once (`theriac repair`). */
function frozenByOthers(extents: readonly Extent[]): WritePlace["frozen"] {
  const shared = extents.find((extent) => extent.shared === true);
  if (shared === undefined) return undefined;
  return {
    code: "EOPNOTSUPP",
    why: `it shares blocks with other files (the first at ${shared.offset}), and a write in place would change them all`,
  };
}

function opened(device: Device, place: WritePlace, wanted: Face | undefined): File {
  const why = whyNoDirect(device, place.extents);
  if (wanted === "dax" && why !== undefined) {
    throw new StorageError("EOPNOTSUPP", `Cannot open ${place.name} for direct access: ${why}`, {
      path: place.name,
    });
  }
  const face = wanted ?? (why === undefined ? "dax" : "buffered");
  return new OpenedFile({ device, place, face, mode: "access", cursor: { position: 0 } });
}

/** Why a file cannot be reached through memory; `undefined` where it can. */
function whyNoDirect(device: Device, extents: ExtentTable): string | undefined {
  if (device.direct === undefined) return "its device is not memory";
  const { pageSize } = device.capabilities;
  for (let at = 0; at < extents.end;) {
    const index = extents.find(at);
    const isData = extents.kind(index) === "data";
    // Linux mounts with DAX only where a block is a page (`ext4_fill_super`).
    if (isData && (at % pageSize !== 0 || extents.deviceOf(index, at) % pageSize !== 0))
      return `its extent at ${at} begins at no page of ${pageSize} bytes`;
    at = extents.stop(index);
  }
  return undefined;
}
