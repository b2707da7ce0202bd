/** FileFlags: what an inode is marked with that stands in the way of a write to its own blocks (chattr(1), xfs_io(8)). */
import { native } from "./native.ts";

/** What is marked. */
export interface FileFlags {
  readonly isImmutable: boolean;
  readonly isAppendOnly: boolean;
  /** Its content goes through the journal first. */
  readonly isJournaled: boolean;
  /** On the real-time device of an XFS, which is another one. */
  readonly isRealtime: boolean;
}

const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_FSGETXATTR = 0x801c_581f;
const IMMUTABLE = 0x10;
const APPEND = 0x20;
const JOURNAL_DATA = 0x4000;
const XFLAG_REALTIME = 0x1;

/** The marks of an open file; none where its file system has none. */
export function fileFlags(fd: number): FileFlags {
  const flags = word(fd, FS_IOC_GETFLAGS, 8);
  return {
    isImmutable: (flags & IMMUTABLE) !== 0,
    isAppendOnly: (flags & APPEND) !== 0,
    isJournaled: (flags & JOURNAL_DATA) !== 0,
    isRealtime: (word(fd, FS_IOC_FSGETXATTR, 28) & XFLAG_REALTIME) !== 0,
  };
}

function word(fd: number, request: number, length: number): number {
  const buffer = new Uint8Array(length);
  if (native()?.ioctl(fd, request, buffer) !== 0) return 0;
  return new DataView(buffer.buffer).getUint32(0, true);
}
