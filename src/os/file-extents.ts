/**
 * FileExtents: where the bytes of an open file are on the device below its file system, as the kernel tells it (FIEMAP:
 * Documentation/filesystems/fiemap.rst).
 */
import { StorageError } from "../base/index.ts";
import { native } from "./native.ts";

/** One run of a file's bytes. */
export interface FileExtent {
  /** First byte in the file. */
  readonly offset: number;
  readonly length: number;
  /** First byte on the device; says nothing where `flaw` is one of "inline", "delayed", "unknown". */
  readonly physical: number;
  /** Reads as zeros until it is written. */
  readonly isUnwritten: boolean;
  /** Why its bytes are not simply those at `physical`, for this file alone. */
  readonly flaw: ExtentFlaw | undefined;
}

/** "shared" with other files, "encoded" (compressed, encrypted), "inline" in the inode, "delayed" (no place yet), "unknown". */
export type ExtentFlaw = "shared" | "encoded" | "inline" | "delayed" | "unknown";

const FS_IOC_FIEMAP = 0xc020_660b;
const FIEMAP_FLAG_SYNC = 1;
const HEADER = 32;
const ENTRY = 56;
/** Extents asked for at once. */
const MOST = 512;
const LAST = 0x1;
/** fe_flags by what they mean here; the first that is set is told. */
const FLAWS: readonly (readonly [number, ExtentFlaw])[] = [
  [0x200, "inline"],
  [0x4, "delayed"],
  [0x8 | 0x80, "encoded"],
  [0x2 | 0x100 | 0x400, "unknown"],
  [0x2000, "shared"],
];
const UNWRITTEN = 0x800;

/** How a file is asked. */
export interface FileExtentsOptions {
  /** Bytes from the start that are asked about. @default all, also past the end */
  readonly length?: number;
  /** Whether what the page cache holds is written out first, so that it has a place. @default false */
  readonly sync?: boolean;
}

/**
 * The extents of an open file, ascending; holes are left out.
 *
 * @throws {StorageError} EOPNOTSUPP where the file system does not tell them, or koffi cannot load; EIO and others of the kernel
 */
export function fileExtents(
  file: { readonly fd: number; readonly path: string },
  options: FileExtentsOptions = {},
): readonly FileExtent[] {
  const { length = Number.MAX_SAFE_INTEGER, sync = false } = options;
  const extents: FileExtent[] = [];
  for (let from = 0; from < length;) {
    const buffer = new Uint8Array(HEADER + MOST * ENTRY);
    const view = new DataView(buffer.buffer);
    view.setBigUint64(0, BigInt(from), true);
    view.setBigUint64(8, BigInt(length - from), true);
    view.setUint32(16, sync ? FIEMAP_FLAG_SYNC : 0, true);
    view.setUint32(24, MOST, true);
    ask(file, buffer);
    const found = decodeExtents(buffer);
    extents.push(...found.extents);
    const last = extents.at(-1);
    if (found.isLast || last === undefined || found.extents.length === 0) break;
    from = last.offset + last.length;
  }
  return extents;
}

function ask(file: { readonly fd: number; readonly path: string }, buffer: Uint8Array): void {
  const calls = native();
  const fail = (code: "EOPNOTSUPP" | "EIO", why: string): never => {
    throw new StorageError(code, `Cannot tell where ${file.path} lies: ${why}`, {
      path: file.path,
      syscall: "FIEMAP",
    });
  };
  if (calls === undefined) return fail("EOPNOTSUPP", "the native library (koffi) cannot be loaded");
  if (calls.ioctl(file.fd, FS_IOC_FIEMAP, buffer) === 0) return;
  const errno = calls.errno();
  // ENOTTY, EOPNOTSUPP: nobody there knows the call.
  if (errno === 25 || errno === 95) fail("EOPNOTSUPP", "its file system does not say (FIEMAP)");
  fail("EIO", `the kernel answers errno ${errno}`);
}

/** What the kernel left in the buffer of a FIEMAP call. @throws {RangeError} never; numbers past 2^53 are "unknown" */
export function decodeExtents(buffer: Uint8Array): {
  readonly extents: readonly FileExtent[];
  readonly isLast: boolean;
} {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const count = Math.min(
    view.getUint32(20, true),
    Math.floor((buffer.byteLength - HEADER) / ENTRY),
  );
  const extents: FileExtent[] = [];
  let isLast = false;
  for (let at = 0; at < count; at += 1) {
    const start = HEADER + at * ENTRY;
    const flags = view.getUint32(start + 40, true);
    const physical = Number(view.getBigUint64(start + 8, true));
    const flaw = FLAWS.find(([mask]) => (flags & mask) !== 0)?.[1];
    extents.push({
      offset: Number(view.getBigUint64(start, true)),
      length: Number(view.getBigUint64(start + 16, true)),
      physical,
      isUnwritten: (flags & UNWRITTEN) !== 0,
      flaw: flaw ?? (Number.isSafeInteger(physical) ? undefined : "unknown"),
    });
    if ((flags & LAST) !== 0) isLast = true;
  }
  return { extents, isLast };
}
