/** openFileMap(): finds the file system that is on a device, or on a part of it, and opens its map; or says why there is none. */
import { endOf, isPromise, StorageError, type MaybePromise } from "../base/index.ts";
import type { Device, ReadResult } from "../device/index.ts";
import { isExt4, openExt4Map } from "./ext4/index.ts";
import type { FileMap } from "./file-map.ts";
import { hasXfsSuperblock, isXfs, openXfsMap } from "./xfs/index.ts";

/** What a map is opened from: bytes, and which of them are missing. */
export type MapSource = Pick<Device, "size" | "read">;

/** Which part of a device holds the file system. */
export interface FileMapOptions {
  /** First byte. @default 0 */
  readonly offset?: number;
  /** Bytes. @default up to the end of the device */
  readonly length?: number;
}

/** A signature that says what is there instead: bytes at an offset, and its name. */
const OTHERS: readonly {
  readonly name: string;
  readonly offset: number;
  readonly magic: readonly number[];
}[] = [
  // The journal's superblock stands in the block after ext4's: jbd2 magic number, JBD2_SUPERBLOCK_V2.
  { name: "an external ext4 journal", offset: 2048, magic: [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4] },
  { name: "an external ext4 journal", offset: 4096, magic: [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4] },
  { name: "XFS, of a form that cannot be read", offset: 0, magic: [0x58, 0x46, 0x53, 0x42] },
  { name: "btrfs", offset: 0x10040, magic: [0x5f, 0x42, 0x48, 0x52, 0x66, 0x53, 0x5f, 0x4d] },
  { name: "F2FS", offset: 1024, magic: [0x10, 0x20, 0xf5, 0xf2] },
  { name: "swap space", offset: 4086, magic: [0x53, 0x57, 0x41, 0x50] },
  { name: "LUKS (encrypted)", offset: 0, magic: [0x4c, 0x55, 0x4b, 0x53] },
  {
    name: "an LVM physical volume",
    offset: 512,
    magic: [0x4c, 0x41, 0x42, 0x45, 0x4c, 0x4f, 0x4e, 0x45],
  },
  { name: "NTFS", offset: 3, magic: [0x4e, 0x54, 0x46, 0x53] },
  { name: "squashfs", offset: 0, magic: [0x68, 0x73, 0x71, 0x73] },
  { name: "ISO 9660", offset: 32769, magic: [0x43, 0x44, 0x30, 0x30, 0x31] },
];

/**
 * Opens the map of the file system on a device.
 *
 * @param source must stay open as long as the map is used; offsets of the map are bytes from `options.offset` on
 * @throws {RangeError} if the part is not on the device
 * @throws {StorageError} EBADMSG if no known file system is there: the message says what was seen; what the source throws itself
 */
export async function openFileMap(
  source: MapSource,
  options: FileMapOptions = {},
): Promise<FileMap> {
  const volume = part(source, options);
  if (await hasXfsSuperblock(volume)) return openXfsMap(volume);
  if (await isExt4(volume)) return openExt4Map(volume);
  if (await isXfs(volume)) return openXfsMap(volume);
  throw new StorageError("EBADMSG", await whyNone(volume));
}

/** A part of a source, as a source of its own; `missing` ranges are told relative to it. */
function part(source: MapSource, options: FileMapOptions): MapSource {
  const offset = options.offset ?? 0;
  const size = options.length ?? source.size - offset;
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(size) ||
    offset < 0 ||
    size < 0 ||
    offset + size > source.size
  ) {
    throw new RangeError(
      `Cannot open a file system at ${offset}, length ${size}: the device has ${source.size} bytes`,
    );
  }
  if (offset === 0 && size === source.size) return source;
  const moved = (result: ReadResult): ReadResult =>
    result.missing.length === 0
      ? result
      : { missing: result.missing.map((range) => ({ ...range, offset: range.offset - offset })) };
  return {
    size,
    read: (into, at, mode): MaybePromise<ReadResult> => {
      const result = source.read(into, offset + at, mode);
      return isPromise(result) ? result.then(moved) : moved(result);
    },
  };
}

async function whyNone(volume: MapSource): Promise<string> {
  const head = new Uint8Array(Math.min(volume.size, 0x10100));
  const { missing } = await volume.read(head, 0);
  for (const range of missing) head.fill(0, range.offset, endOf(range));
  const other = OTHERS.find(({ offset, magic }) =>
    magic.every((byte, index) => head[offset + index] === byte),
  );
  if (other !== undefined)
    return `There is no file system that is known here: it looks like ${other.name}`;
  if (missing.some((range) => range.offset < 2048)) {
    return "There is no file system that can be read: the place of its superblock is bad, and no backup was found";
  }
  return "There is no file system that is known here: no ext4 superblock at byte 1024, no XFS superblock at byte 0, nor a backup of one";
}
