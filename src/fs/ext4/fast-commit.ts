/**
 * Fast commits: what the area behind the log says of inodes since the last full commit (kernel: fs/ext4/fast_commit.c, ext4_fc_replay_scan).
 *
 * Fast commits do not hold blocks, they hold changes: this inode has this extent, this name is gone. They are read and checked here, and applied by
 * fast-commit-replay.ts. What cannot be applied is told, so that its owners are answered as unknown and never guessed.
 *
 * The area is a run of tags. It counts up to the last tail whose transaction and checksum are right; a head of another transaction is left over from before.
 */
import { crc32c } from "../../base/index.ts";
import type { JournalSuperblock } from "./journal-superblock.ts";
import type { ReadPlace } from "./journal-scan.ts";

const TAG = {
  addRange: 1,
  deleteRange: 2,
  create: 3,
  link: 4,
  unlink: 5,
  inode: 6,
  pad: 7,
  tail: 8,
  head: 9,
} as const;
const TAG_HEADER = 4;
/** Largest area that is read, in bytes: mke2fs makes 256 blocks. */
const AREA_MAX = 64 * 1024 * 1024;

/** Blocks that a fast commit gives to an inode. */
export interface FastCommitBlocks {
  readonly block: number;
  readonly count: number;
  readonly inode: number;
}

/** What fast commits touch. */
export interface FastCommits {
  /** Inodes whose fields, extents or names change; directories too. */
  readonly inodes: ReadonlySet<number>;
  /** Blocks of the volume that belong to those inodes after replay. */
  readonly blocks: readonly FastCommitBlocks[];
  /** Why they cannot be read to their end; `undefined` where they can. */
  readonly broken: string | undefined;
}

/** One change of a fast commit. Names and raw inodes are copies. */
export type FastCommitChange =
  | {
      readonly kind: "add";
      readonly inode: number;
      readonly logical: number;
      readonly block: number;
      readonly count: number;
      readonly unwritten: boolean;
    }
  | {
      readonly kind: "delete";
      readonly inode: number;
      readonly logical: number;
      readonly count: number;
    }
  | {
      readonly kind: "create" | "link" | "unlink";
      readonly parent: number;
      readonly inode: number;
      readonly name: Uint8Array;
    }
  | { readonly kind: "inode"; readonly inode: number; readonly raw: Uint8Array };

/** What fast commits touch, and their changes in order. */
export interface ScannedFastCommits extends FastCommits {
  readonly changes: readonly FastCommitChange[];
}

/** No fast commits. */
export const NO_FAST_COMMITS: ScannedFastCommits = {
  inodes: new Set(),
  blocks: [],
  broken: undefined,
  changes: [],
};

/** What fast commits touch, of their changes alone. */
export function touchedBy(
  changes: Iterable<FastCommitChange>,
): Pick<FastCommits, "inodes" | "blocks"> {
  const inodes = new Set<number>();
  const blocks: FastCommitBlocks[] = [];
  for (const change of changes) {
    inodes.add(change.inode);
    if ("parent" in change) inodes.add(change.parent);
    if (change.kind === "add") {
      const { block, count, inode } = change;
      blocks.push({ block, count, inode });
    }
  }
  return { inodes, blocks };
}

interface State {
  readonly transaction: number;
  readonly changes: FastCommitChange[];
  pending: FastCommitChange[];
  sum: number;
  tails: number;
  headSeen: boolean;
}

/**
 * Reads the fast-commit area.
 *
 * @param transaction the one that fast commits must name: the first that is not in the log
 */
export async function scanFastCommits(
  journal: JournalSuperblock,
  transaction: number,
  read: ReadPlace,
): Promise<ScannedFastCommits> {
  if (!journal.fastCommit || journal.last >= journal.length) return NO_FAST_COMMITS;
  const state: State = {
    transaction,
    changes: [],
    pending: [],
    sum: 0,
    tails: 0,
    headSeen: false,
  };
  let bytesRead = 0;
  for (let place = journal.last + 1; place < journal.length; place += 1) {
    const { bytes, bad } = await read(place);
    bytesRead += bytes.length;
    if (bytesRead > AREA_MAX)
      return finish(state, `the fast commits take more than ${AREA_MAX / 2 ** 20} MiB`);
    if (bad.length > 0)
      return finish(state, `block ${place} of the journal, in the fast-commit area, is unreadable`);
    const end = takeBlock(state, bytes);
    if (end !== undefined) return finish(state, end === "" ? undefined : end);
  }
  return finish(state, undefined);
}

function finish(state: State, broken: string | undefined): ScannedFastCommits {
  return { ...touchedBy(state.changes), broken, changes: state.changes };
}

/** Takes one block's tags. @returns `undefined` to go on; "" where the area ends well; else why it is broken */
function takeBlock(state: State, bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + TAG_HEADER <= bytes.length;) {
    const tag = view.getUint16(at, true);
    const length = view.getUint16(at + 2, true);
    const next = at + TAG_HEADER + length;
    if (next > bytes.length) return "";
    const value = new DataView(bytes.buffer, bytes.byteOffset + at + TAG_HEADER, length);
    const whole = bytes.subarray(at, next);
    const end = takeTag(state, { tag, value, whole });
    if (end !== undefined) return end;
    at = next;
  }
  return undefined;
}

interface TagPiece {
  readonly tag: number;
  readonly value: DataView;
  /** Header and value. */
  readonly whole: Uint8Array;
}

function takeTag(state: State, piece: TagPiece): string | undefined {
  const { tag, value, whole } = piece;
  if (!state.headSeen) {
    if (tag !== TAG.head || value.byteLength < 8) return "";
    // A head of another transaction is from before the last full commit.
    if (value.getUint32(4, true) !== state.transaction) return "";
    if (value.getUint32(0, true) !== 0)
      return `fast commits with unknown features 0x${value.getUint32(0, true).toString(16)}`;
    state.headSeen = true;
  } else if (tag === TAG.head) {
    if (value.byteLength < 8 || value.getUint32(4, true) !== state.transaction) return "";
  }
  if (tag === TAG.tail) return takeTail(state, piece);
  if (!takeChange(state, tag, value)) return "";
  state.sum = crc32c(whole, state.sum);
  return undefined;
}

function takeTail(state: State, { value, whole }: TagPiece): string | undefined {
  if (value.byteLength < 8) return "";
  const sum = crc32c(whole.subarray(0, TAG_HEADER + 4), state.sum);
  if (value.getUint32(0, true) !== state.transaction || value.getUint32(4, true) !== sum) {
    // As the kernel: after a good tail, a bad one is a commit that was cut off; before any, the area is corrupt.
    return state.tails > 0 ? "" : "the first fast commit has a wrong checksum";
  }
  for (const change of state.pending) state.changes.push(change);
  state.pending = [];
  state.sum = 0;
  state.tails += 1;
  return undefined;
}

/** Notes the change of a tag. @returns whether it is a tag at all */
function takeChange(state: State, tag: number, value: DataView): boolean {
  if (tag === TAG.head || tag === TAG.pad) return true;
  const change = decodeChange(tag, value);
  if (change === undefined) return false;
  state.pending.push(change);
  return true;
}

/** Longest written extent; a longer length is unwritten (kernel: EXT_INIT_MAX_LEN). */
const WRITTEN_MAX = 32768;

/** Kernel: struct ext4_fc_add_range, ext4_fc_del_range, ext4_fc_dentry_info, ext4_fc_inode. */
function decodeChange(tag: number, value: DataView): FastCommitChange | undefined {
  const length = value.byteLength;
  const inode = length >= 4 ? value.getUint32(0, true) : 0;
  const copy = (from: number): Uint8Array =>
    new Uint8Array(value.buffer, value.byteOffset + from, length - from).slice();
  if (tag === TAG.addRange && length >= 16) {
    const raw = value.getUint16(8, true);
    const unwritten = raw > WRITTEN_MAX;
    return {
      kind: "add",
      inode,
      logical: value.getUint32(4, true),
      block: value.getUint32(12, true) + value.getUint16(10, true) * 2 ** 32,
      count: unwritten ? raw - WRITTEN_MAX : raw,
      unwritten,
    };
  }
  if (tag === TAG.deleteRange && length >= 12) {
    const logical = value.getUint32(4, true);
    return { kind: "delete", inode, logical, count: value.getUint32(8, true) };
  }
  if (tag === TAG.inode && length >= 4) return { kind: "inode", inode, raw: copy(4) };
  const kind = NAME_TAGS.get(tag);
  if (kind === undefined || length < 8) return undefined;
  return { kind, parent: inode, inode: value.getUint32(4, true), name: copy(8) };
}

const NAME_TAGS: ReadonlyMap<number, "create" | "link" | "unlink"> = new Map([
  [TAG.create, "create"],
  [TAG.link, "link"],
  [TAG.unlink, "unlink"],
]);
