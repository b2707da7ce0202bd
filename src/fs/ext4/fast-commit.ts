/**
 * Fast commits: what the area behind the log says of inodes since the last full commit (kernel: fs/ext4/fast_commit.c, ext4_fc_replay_scan).
 *
 * Fast commits do not hold blocks, they hold changes: this inode has this extent, this name is gone. They are read and checked here, not replayed: a replay
 * makes new extent-tree blocks where the file system then finds room, so what the volume will look like is not written anywhere. What they touch
 * is told, so that its owners are answered as unknown and never guessed.
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

/** No fast commits. */
export const NO_FAST_COMMITS: FastCommits = { inodes: new Set(), blocks: [], broken: undefined };

interface State {
  readonly transaction: number;
  readonly inodes: Set<number>;
  readonly blocks: FastCommitBlocks[];
  pendingInodes: number[];
  pendingBlocks: FastCommitBlocks[];
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
): Promise<FastCommits> {
  if (!journal.fastCommit || journal.last >= journal.length) return NO_FAST_COMMITS;
  const state: State = {
    transaction,
    inodes: new Set(),
    blocks: [],
    pendingInodes: [],
    pendingBlocks: [],
    sum: 0,
    tails: 0,
    headSeen: false,
  };
  for (let place = journal.last + 1; place < journal.length; place += 1) {
    const { bytes, bad } = await read(place);
    if (bad.length > 0)
      return finish(state, `block ${place} of the journal, in the fast-commit area, is unreadable`);
    const end = takeBlock(state, bytes);
    if (end !== undefined) return finish(state, end === "" ? undefined : end);
  }
  return finish(state, undefined);
}

function finish(state: State, broken: string | undefined): FastCommits {
  return { inodes: state.inodes, blocks: state.blocks, broken };
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
  for (const inode of state.pendingInodes) state.inodes.add(inode);
  state.blocks.push(...state.pendingBlocks);
  state.pendingInodes = [];
  state.pendingBlocks = [];
  state.sum = 0;
  state.tails += 1;
  return undefined;
}

/** Notes what a tag touches. @returns whether it is a tag at all */
function takeChange(state: State, tag: number, value: DataView): boolean {
  switch (tag) {
    case TAG.head:
    case TAG.pad:
      return true;
    case TAG.addRange: {
      if (value.byteLength < 16) return false;
      const inode = value.getUint32(0, true);
      const raw = value.getUint16(8, true);
      const block = value.getUint32(12, true) + value.getUint16(10, true) * 2 ** 32;
      state.pendingInodes.push(inode);
      state.pendingBlocks.push({ block, count: raw > 32768 ? raw - 32768 : raw, inode });
      return true;
    }
    case TAG.deleteRange:
    case TAG.inode:
      if (value.byteLength < 4) return false;
      state.pendingInodes.push(value.getUint32(0, true));
      return true;
    case TAG.create:
    case TAG.link:
    case TAG.unlink:
      if (value.byteLength < 8) return false;
      state.pendingInodes.push(value.getUint32(0, true), value.getUint32(4, true));
      return true;
    default:
      return false;
  }
}
