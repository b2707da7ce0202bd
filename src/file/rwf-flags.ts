/**
 * rwf-flags: the flags of preadv2(2) and pwritev2(2), Linux' numbers (include/uapi/linux/fs.h of 7.1), and which of them a call honours.
 *
 * Every flag is honoured or refused with EOPNOTSUPP, unknown ones too, as `kiocb_set_rw_flags` (include/linux/fs.h) does.
 */
import { StorageError } from "../base/index.ts";
import type { AccessMode } from "../device/index.ts";

/** High priority: polled completion. A hint; every answer is as fast as it can be. */
export const RWF_HIPRI = 0x1;
/** The data of this write is durable when it returns, as with O_DSYNC. */
export const RWF_DSYNC = 0x2;
/** The same for data and metadata, as with O_SYNC. */
export const RWF_SYNC = 0x4;
/** EAGAIN instead of waiting. Honoured where nothing waits: on memory. */
export const RWF_NOWAIT = 0x8;
/** This write appends. A file in an image is never extended, a device has no room behind its end. */
export const RWF_APPEND = 0x10;
/** This write does not append though the file was opened so. No file here is. (The 0x20 that the patches of 2021 gave to recovery.) */
export const RWF_NOAPPEND = 0x20;
/** All of this write or none of it, over a power loss too. Not offered. */
export const RWF_ATOMIC = 0x40;
/** Nothing is kept in a page cache. */
export const RWF_DONTCACHE = 0x80;
/** No SIGPIPE. No signal is ever sent. */
export const RWF_NOSIGNAL = 0x100;
/**
 * Recovery: a read fetches every byte up to the first bad one; a write clears and stores in one step or fails.
 * Proposed for Linux in October 2021 as 0x20, which is RWF_NOAPPEND today; Linux has no such flag.
 */
export const RWF_RECOVERY_DATA = 0x4000_0000;

/** What a call must know to judge its flags. */
export interface FlagContext {
  readonly syscall: "preadv2" | "pwritev2";
  /** Name of the file: for messages. */
  readonly name: string;
  /** How the file is reached. */
  readonly face: "dax" | "direct" | "buffered";
}

const NAMES: readonly (readonly [flag: number, name: string])[] = [
  [RWF_HIPRI, "RWF_HIPRI"],
  [RWF_DSYNC, "RWF_DSYNC"],
  [RWF_SYNC, "RWF_SYNC"],
  [RWF_NOWAIT, "RWF_NOWAIT"],
  [RWF_APPEND, "RWF_APPEND"],
  [RWF_NOAPPEND, "RWF_NOAPPEND"],
  [RWF_ATOMIC, "RWF_ATOMIC"],
  [RWF_DONTCACHE, "RWF_DONTCACHE"],
  [RWF_NOSIGNAL, "RWF_NOSIGNAL"],
  [RWF_RECOVERY_DATA, "RWF_RECOVERY_DATA"],
];
const KNOWN = NAMES.reduce((all, [flag]) => all | flag, 0);

/**
 * Checks the flags of one call.
 *
 * @throws {TypeError} if `flags` is no whole number from 0 to 2^32 - 1
 * @throws {StorageError} EOPNOTSUPP for a flag that is unknown, or that this file cannot honour; EINVAL for RWF_APPEND with RWF_NOAPPEND
 */
export function checkFlags(flags: number, context: FlagContext): void {
  if (flags === 0 || flags === RWF_RECOVERY_DATA) return;
  if (!Number.isInteger(flags) || flags < 0 || flags > 0xffff_ffff)
    throw new TypeError(`Cannot use flags: want a whole number from 0 to 2^32 - 1: got ${flags}`);
  const unknown = (flags & ~KNOWN) >>> 0;
  if (unknown !== 0) throw refused(context, `flag 0x${unknown.toString(16)} is not known`);
  if ((flags & RWF_ATOMIC) !== 0) throw refused(context, "RWF_ATOMIC is not offered");
  if ((flags & RWF_NOWAIT) !== 0 && context.face !== "dax")
    throw refused(context, "RWF_NOWAIT is honoured on memory only: this file may wait");
  // The page cache of a DAX file is the media itself (`IS_DAX` in kiocb_set_rw_flags).
  if ((flags & RWF_DONTCACHE) !== 0 && context.face === "dax")
    throw refused(context, "RWF_DONTCACHE means nothing on direct access");
  if ((flags & RWF_APPEND) === 0 || (flags & RWF_NOAPPEND) === 0) return;
  throw new StorageError(
    "EINVAL",
    `Cannot ${verbOf(context)} ${context.name}: RWF_APPEND and RWF_NOAPPEND exclude each other`,
    { syscall: context.syscall, path: context.name },
  );
}

/** Names of the flags that are set, for messages and logs: "RWF_DSYNC|RWF_HIPRI", or "0". */
export function formatFlags(flags: number): string {
  const names = NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name);
  const rest = (flags & ~KNOWN) >>> 0;
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.length === 0 ? "0" : names.join("|");
}

function refused(context: FlagContext, why: string): StorageError {
  return new StorageError("EOPNOTSUPP", `Cannot ${verbOf(context)} ${context.name}: ${why}`, {
    syscall: context.syscall,
    path: context.name,
  });
}

function verbOf({ syscall }: FlagContext): string {
  return syscall === "preadv2" ? "read" : "write";
}

/**
 * How hard a call tries: as its handle does, or in recovery where the flag says so.
 *
 * @throws {StorageError} EINVAL for the flag on a handle that fails fast: the two exclude each other
 */
export function modeOf(flags: number, handle: AccessMode, context: FlagContext): AccessMode {
  if ((flags & RWF_RECOVERY_DATA) === 0) return handle;
  if (handle !== "failFast") return "recovery";
  throw new StorageError(
    "EINVAL",
    `Cannot ${verbOf(context)} ${context.name}: its handle fails fast, and RWF_RECOVERY_DATA asks for the opposite`,
    { syscall: context.syscall, path: context.name },
  );
}
