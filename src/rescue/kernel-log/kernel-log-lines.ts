/**
 * Lines: every kernel message that says where bytes went bad, one row each, with the function in Linux that prints it.
 */
import { PAGE, SECTOR } from "../../base/index.ts";
import type { KernelEventCause } from "./kernel-event.ts";
import { blockRange, type LinePattern } from "./kernel-line.ts";
import { MEMORY_LINES } from "./kernel-log-memory.ts";
import { SCSI_LINES } from "./kernel-log-scsi.ts";

function operationOf(text: string | undefined): "read" | "write" | undefined {
  if (text === undefined) return undefined;
  if (/\bread/i.test(text)) return "read";
  return /\bwrit/i.test(text) ? "write" : undefined;
}

/** A cause by errno: 5 EIO and 61 ENODATA (medium error) may be media, the others are not. */
function causeOfErrno(errno: number): KernelEventCause {
  if (errno === 61) return "media";
  return errno === 5 ? "unknown" : "other";
}

/** blk_print_req_error(), block/blk-mq.c; before 5.16 blk_update_request(), print_req_error(), end_request(). */
const BLOCK: LinePattern = {
  pattern:
    /^(?:(?:blk_update_request|print_req_error|blk_print_req_error|end_request): )?((?:critical |recoverable )?[A-Za-z/ ]{1,40} error), dev ([\w!.:-]{1,64}), sector (\d{1,20})(?: op 0x[0-9a-f]{1,8}:\((\w{1,24})\))?/,
  read([, status = "", device = "", sector = "", operation]) {
    const cause: KernelEventCause =
      status === "critical medium error" ? "media" : status === "I/O error" ? "unknown" : "other";
    return {
      kind: "block",
      device,
      status,
      cause,
      operation: operationOf(operation),
      range: blockRange(Number(sector), 1, SECTOR),
      precision: "from",
    };
  },
};

/** buffer_io_error(), fs/buffer.c: the unit is the size of the buffer, which the line does not tell. */
const BUFFER: LinePattern = {
  pattern:
    /^Buffer I\/O error on dev(?:ice)? ([\w!.:-]{1,64}), logical block (\d{1,20})(?:, (.{1,80}))?/,
  read([, device = "", block = "", what], context) {
    const { bytes, guessed } = context.blockSize(device, Number(block));
    return {
      kind: "buffer",
      device,
      status: what ?? "Buffer I/O error",
      cause: "unknown",
      operation: operationOf(what),
      range: blockRange(Number(block), 1, bytes),
      precision: "within",
      unitGuessed: guessed,
    };
  },
};

/** nvme_log_error(), drivers/nvme/host/core.c: status code type 2 is "media and data integrity errors". */
const NVME: LinePattern = {
  pattern:
    /^(nvme\d{1,5}(?:c\d{1,5})?n\d{1,5}): ([\w/ -]{1,40})\(0x[0-9a-f]{1,4}\) @ LBA (\d{1,20}), (\d{1,10}) blocks?, ([^(]{1,80}) \(sct 0x([0-9a-f]{1,4}) \/ sc 0x[0-9a-f]{1,4}\)/,
  read([, path = "", command, lba = "", count = "", status = "", type], context) {
    const device = path.replace(/c\d+n/, "n"); // a path of a multipath device is of the same namespace
    const { bytes, guessed } = context.logicalBlockSize(device, Number(lba));
    return {
      kind: "nvme",
      device,
      status: status.trim(),
      cause: type === "2" ? "media" : "other",
      operation: command === "I/O Cmd" ? undefined : operationOf(command),
      range: blockRange(Number(lba), Number(count), bytes),
      precision: "within",
      unitGuessed: guessed,
    };
  },
};

/** __ext4_error_inode(), __ext4_warning() and their kin, fs/ext4/super.c. */
const EXT4: LinePattern = {
  pattern:
    /^EXT[234]-fs (?:error|warning) \(device ([\w!.-]{1,64})\)(?: in \w{1,64}:\d{1,6})?: (?:(\w{1,64}):\d{1,6}: )?(.{1,400})/,
  read([, device = "", , message = ""], context) {
    const inode = /\binode #?(\d{1,12})\b/.exec(message)?.[1];
    const fileBlock = /\blblock (\d{1,12})\b/.exec(message)?.[1];
    const block =
      /(?:: block |\bblock_bitmap = |\binode_bitmap = |\bstarting block )(\d{1,16})/.exec(
        message,
      )?.[1];
    const unit = block === undefined ? undefined : context.blockSize(device, Number(block));
    const words = message.replace(
      /^(?:inode #\d+: |block \d+: |lblock \d+: |comm [^:]{1,32}: )+/,
      "",
    );
    return {
      kind: "ext4",
      device,
      status: words,
      cause: /read|I\/O|itable/i.test(words) ? "unknown" : "other",
      operation: operationOf(words),
      range: unit && blockRange(Number(block), 1, unit.bytes),
      precision: "within",
      unitGuessed: unit?.guessed ?? false,
      inode: inode === undefined ? undefined : Number(inode),
      fileBlock: fileBlock === undefined ? undefined : Number(fileBlock),
    };
  },
};

/** fs/jbd2: the journal's device carries the journal's inode: sda1-8. */
const JOURNAL: LinePattern = {
  pattern:
    /^(?:JBD2: (.{1,160}?) on ([\w!.-]{1,64}?)(?:-\d{1,12})?$|Aborting journal on device ([\w!.-]{1,64}?)(?:-\d{1,12})?\.?$|JBD2: ([Ff]ailed to read block .{1,80}|I\/O error .{1,120}))/,
  read([, status, device, aborted, readFailure]) {
    return {
      kind: "journal",
      device: device ?? aborted,
      status: status ?? readFailure ?? "Aborting journal",
      cause: readFailure === undefined && !/error/i.test(status ?? "") ? "other" : "unknown",
      operation: operationOf(readFailure),
    };
  },
};

/** xfs_buf_ioerror_alert(), fs/xfs/xfs_buf.c: daddr and block count sectors of 512 bytes, whatever the disk has. */
const XFS: LinePattern = {
  pattern:
    /^XFS \(([\w!.-]{1,64})\): metadata I\/O error(?: in "[^"]{1,80}" at daddr (0x[0-9a-f]{1,16}) len (\d{1,8}) error (\d{1,4})|: block (0x[0-9a-f]{1,16}) \("[^"]{1,80}"\) error (\d{1,4}) numblks (\d{1,8}))/,
  read([, device, daddr, length, errno, block, oldErrno, oldLength]) {
    const error = Number(errno ?? oldErrno);
    return {
      kind: "xfs",
      device,
      status: `metadata I/O error ${error}`,
      cause: causeOfErrno(error),
      range: blockRange(Number(daddr ?? block), Number(length ?? oldLength), SECTOR),
      precision: "within",
    };
  },
};

/** xfs_discard_folio() and xfs_end_bio(): writeback that failed, by inode. */
const XFS_WRITEBACK: LinePattern = {
  pattern:
    /^XFS \(([\w!.-]{1,64})\): writeback error on (?:inode (0x[0-9a-f]{1,16}|\d{1,20}), offset \d{1,20}, )?sector (\d{1,20})/,
  read([, device, inode, sector]) {
    return {
      kind: "xfs",
      device,
      status: "writeback error",
      cause: "unknown",
      operation: "write",
      range: blockRange(Number(sector), 1, SECTOR),
      precision: "from",
      inode: inode === undefined ? undefined : Number(inode),
    };
  },
};

/** scrub_print_warning_inode(), fs/btrfs/scrub.c: physical is in bytes of the named device. */
const BTRFS: LinePattern = {
  pattern:
    /^BTRFS (?:warning|error) \(device [\w!.-]{1,64}\): (i\/o error|checksum error) at logical \d{1,20} on (?:dev|mirror) (?:\/dev\/)?([\w!./-]{1,64}),? physical (\d{1,20})(?:, root \d{1,20}, inode (\d{1,20}), offset \d{1,20}, length (\d{1,10}))?/i,
  read([, status = "", device, physical, inode, length]) {
    return {
      kind: "btrfs",
      device,
      status,
      cause: status === "i/o error" ? "media" : "other",
      range: blockRange(Number(physical), Number(length ?? PAGE), 1),
      precision: "within",
      inode: inode === undefined ? undefined : Number(inode),
    };
  },
};

/** fix_read_error(), drivers/md/raid1.c, raid5.c: sectors of the member; the data is well again, or it is not. */
const MD_MEMBER: LinePattern = {
  pattern:
    /^md\/raid\d{0,2}:(md[\w-]{1,64}): read error (corrected \((\d{1,8}) sectors at |(?:not correctable|NOT corrected!!)[^(]{0,8}\(sector )(\d{1,20}) on ([\w!.-]{1,64})\)/,
  read([, , what = "", count = "1", sector, member]) {
    const corrected = what.startsWith("corrected");
    return {
      kind: "md",
      device: member,
      status: corrected ? "read error corrected" : "read error not correctable",
      cause: corrected ? "corrected" : "media",
      operation: "read",
      range: blockRange(Number(sector), corrected ? Number(count) : 1, SECTOR),
      precision: corrected ? "exact" : "from",
    };
  },
};

/** reschedule_retry() and handle_read_error(): sectors of the array. Rescheduled reads go to another member. */
const MD_ARRAY: LinePattern = {
  pattern:
    /^md\/raid\d{0,2}:(md[\w-]{1,64}): (?:[\w!.-]{1,64}: )?(rescheduling sector|redirecting sector|unrecoverable I\/O (?:read )?error for block) (\d{1,20})/,
  read([, device, status = "", sector]) {
    const unrecoverable = status.startsWith("unrecoverable");
    return {
      kind: "md",
      device,
      status,
      cause: unrecoverable ? "media" : "corrected",
      operation: "read",
      range: blockRange(Number(sector), 1, SECTOR),
      precision: "from",
    };
  },
};

/** drivers/md/dm-integrity.c: the data is whole for the disk and wrong for its checksum. */
const DM_INTEGRITY: LinePattern = {
  pattern:
    /^device-mapper: integrity: ([\w!.-]{1,64}): Checksum failed at sector 0x([0-9a-f]{1,16})/,
  read([, device, sector]) {
    const range = blockRange(Number.parseInt(sector ?? "", 16), 1, SECTOR);
    return {
      kind: "device-mapper",
      device,
      status: "Checksum failed",
      cause: "other",
      range,
      precision: "from",
    };
  },
};

/** Other failures of device-mapper's targets, which name a device by its numbers, or none. */
const DM: LinePattern = {
  pattern: /^device-mapper: ([\w -]{1,32}: .{0,200}?(?:[Ff]ail|[Ee]rror|corrupted).{0,200})$/,
  read([, status = ""]) {
    const device = /\b(dm-\d{1,7}|\d{1,4}:\d{1,7})\b/.exec(status)?.[1];
    return {
      kind: "device-mapper",
      device,
      status,
      cause: "unknown",
      operation: operationOf(status),
    };
  },
};

/** Every line that is known, the special ones before the general ones. */
export const LINES: readonly LinePattern[] = [
  BLOCK,
  BUFFER,
  NVME,
  ...SCSI_LINES,
  EXT4,
  JOURNAL,
  XFS,
  XFS_WRITEBACK,
  BTRFS,
  MD_MEMBER,
  MD_ARRAY,
  DM_INTEGRITY,
  DM,
  ...MEMORY_LINES,
];
