/** DaxFile: what the calls of dax/ work on: the bytes of a file on a device with direct access; and their one failure. */
import { MediaError, StorageError, type BadRange } from "../base/index.ts";
import type { AccessMode, Device, DirectAccess } from "../device/index.ts";
import type { ExtentTable } from "./extent-table.ts";

/** A file, or a whole device, on memory. */
export interface DaxFile {
  /** What people call it: for messages. */
  readonly name: string;
  readonly device: Device;
  readonly direct: DirectAccess;
  /** Bytes of a page, a power of two. Extents of kind "data" begin at pages of the device. */
  readonly pageSize: number;
  readonly extents: ExtentTable;
  /** Bytes of the file (`i_size`). */
  readonly size: number;
}

/** What a call of the file wants of bad ranges. */
export type CallMode = AccessMode;

/**
 * Why a call stopped before its first byte: EIO, also where Linux answers EFAULT (`dax_iomap_iter` gives it for a transfer of 0 bytes).
 *
 * @param range the device range that was tried
 */
export function mediaError(
  file: Pick<DaxFile, "device" | "name">,
  syscall: string,
  range: { readonly offset: number; readonly length: number },
): MediaError {
  const { device } = file;
  const length = Math.max(0, Math.min(range.length, device.size - range.offset));
  const ranges: BadRange[] = [...device.poison.bad({ offset: range.offset, length })];
  const where = ranges[0]?.offset ?? range.offset;
  const verb = syscall === "preadv2" ? "read" : "write";
  return new MediaError(`Cannot ${verb} ${file.name}: its device is bad at offset ${where}`, {
    device: device.identity.name,
    ranges,
    syscall,
    path: file.name,
  });
}

/** Why a call met a part of a file whose place nobody knows. */
export function unknownPlace(name: string, syscall: string, offset: number): StorageError {
  return new StorageError(
    "EIO",
    `Cannot use ${name} at offset ${offset}: its map there cannot be read`,
    { syscall, path: name },
  );
}
