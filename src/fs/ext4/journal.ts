/**
 * Journal: how current the volume is, and what a dirty journal says that the blocks in place do not.
 *
 * Whether it is dirty is the superblock's flag `needs_recovery`; where only a backup superblock is left, the journal's own start. Without the flag the kernel throws the
 * log away, whatever it holds, and so do we.
 */
import type { JournalState, Problem } from "../file-map.ts";
import type { BlockReader, Overlay } from "../block-reader.ts";
import {
  NO_FAST_COMMITS,
  scanFastCommits,
  touchedBy,
  type FastCommitChange,
  type FastCommits,
} from "./fast-commit.ts";
import type { FastCommitReplay } from "./fast-commit-replay.ts";
import { hasFeature } from "./features.ts";
import { findJournal, type JournalMap } from "./journal-inode.ts";
import { replayLog, type Replay } from "./journal-replay.ts";
import { scanLog, type LogContent, type ReadPlace } from "./journal-scan.ts";
import { decodeJournalSuperblock, type JournalSuperblock } from "./journal-superblock.ts";
import type { Superblock } from "./superblock.ts";
import type { GroupDescriptor } from "./volume.ts";

/** What a journal is opened from. */
export interface JournalInput {
  readonly superblock: Superblock;
  readonly groups: readonly GroupDescriptor[];
  readonly reader: BlockReader;
  readonly report: (problem: Problem) => void;
}

/** An opened journal. */
export interface OpenJournal {
  readonly state: JournalState;
  /** Newer blocks; `undefined` where there are none. */
  readonly overlay: (Overlay & { blocks(): Iterable<number> }) | undefined;
  /** What fast commits touch that is not replayed. */
  readonly unsettled: FastCommits;
  /** Fast commits that can be applied now that the log is replayed: give the outcome to `withFastCommits`. */
  readonly changes: readonly FastCommitChange[];
}

function plain(state: JournalState): OpenJournal {
  return { state, overlay: undefined, unsettled: NO_FAST_COMMITS, changes: [] };
}

/** Opens the journal of a volume and replays it in memory where it is dirty. Reads from the device, not through an overlay. */
export async function openJournal(input: JournalInput): Promise<OpenJournal> {
  const { superblock } = input;
  const none: JournalState = {
    status: "none",
    pending: false,
    sequence: 0,
    message: "The volume has no journal",
  };
  if (!hasFeature(superblock, "has_journal")) return plain(none);
  const flagged = hasFeature(superblock, "needs_recovery");
  if (superblock.journalInode === 0) {
    const pending = flagged || superblock.source === "backup";
    const dirty = pending ? "; it may hold changes that are not in this map" : "";
    return plain({
      ...none,
      status: "external",
      pending,
      message: `The journal is on the device with UUID ${superblock.journalUuid}${dirty}`,
    });
  }
  const found = await readSuperblock(input);
  if (typeof found === "string") {
    input.report({
      inode: superblock.journalInode,
      message: `The journal cannot be read: ${found}`,
    });
    if (!flagged && superblock.source === "primary")
      return plain({ ...none, message: `The journal is empty; it cannot be read: ${found}` });
    return plain({
      status: "unreadable",
      pending: true,
      sequence: 0,
      message: `The journal may hold changes and cannot be read: ${found}`,
    });
  }
  const { journal } = found;
  const { sequence } = journal;
  if (journal.start === 0) return plain({ ...none, sequence, message: "The journal is empty" });
  if (!flagged && superblock.source === "primary") {
    return plain({
      ...none,
      sequence,
      message:
        "The superblock says that the journal needs no replay: what its log holds is ignored, as Linux does",
    });
  }
  return replay(input, found);
}

interface FoundJournal {
  readonly journal: JournalSuperblock;
  readonly map: JournalMap;
  readonly read: ReadPlace;
}

async function readSuperblock(input: JournalInput): Promise<FoundJournal | string> {
  const { superblock, reader } = input;
  const found = await findJournal(input);
  if (found.map === undefined) return found.why;
  if (found.why !== undefined) {
    input.report({
      inode: superblock.journalInode,
      message: `The journal's own inode cannot be used (${found.why}): the copy of its map in the superblock serves`,
    });
  }
  const { map } = found;
  const read: ReadPlace = async (place) => {
    const block = map.physical(place);
    const hole = { offset: 0, length: superblock.blockSize, state: "unread" as const };
    if (block === undefined) return { bytes: new Uint8Array(superblock.blockSize), bad: [hole] };
    return reader.readBytes(block * superblock.blockSize, superblock.blockSize);
  };
  const first = await read(0);
  if (first.bad.some((range) => range.offset < 1024)) return "its superblock is unreadable";
  const result = decodeJournalSuperblock(first.bytes, superblock.blockSize, map.blocks);
  if (result.journal === undefined) return `its superblock ${result.why}`;
  return { journal: result.journal, map, read };
}

async function replay(input: JournalInput, found: FoundJournal): Promise<OpenJournal> {
  const { journal, map, read } = found;
  const content = await scanLog(journal, read);
  const { blockCount } = input.superblock;
  const replayed = await replayLog({
    journal,
    content,
    read,
    physical: (place) => map.physical(place),
    blockCount,
  });
  const fast =
    content.broken === undefined
      ? await scanFastCommits(journal, content.next, read)
      : NO_FAST_COMMITS;
  const why = whyIncomplete(content, replayed, fast);
  const counts = `${content.transactions} transactions, ${replayed.overlay.size} blocks`;
  const overlay = replayed.overlay.empty ? undefined : replayed.overlay;
  if (why === undefined && fast.changes.length > 0) {
    const state = { status: "unreadable", pending: true, sequence: journal.sequence } as const;
    const { changes } = fast;
    return { state: { ...state, message: counts }, overlay, unsettled: fast, changes };
  }
  const state: JournalState = {
    status: why === undefined ? "replayed" : "unreadable",
    pending: why === undefined ? content.tags.length > 0 : true,
    sequence: journal.sequence,
    message: why === undefined ? replayedWhole(counts) : replayedInPart(counts, why),
  };
  if (why !== undefined)
    input.report({ inode: input.superblock.journalInode, message: state.message });
  return { state, overlay, unsettled: fast, changes: [] };
}

function replayedWhole(counts: string): string {
  return `The journal was replayed in memory: ${counts}`;
}

function replayedInPart(counts: string, why: string): string {
  return `The journal was replayed in memory only in part (${counts}): ${why}`;
}

/**
 * A journal whose fast commits were tried.
 *
 * @param outcome what applying `journal.changes` gave, or why none could be applied
 */
export function withFastCommits(
  journal: OpenJournal,
  outcome: FastCommitReplay | string,
): OpenJournal {
  const counts = journal.state.message;
  if (typeof outcome === "string") {
    const why = `fast commits change ${journal.unsettled.inodes.size} inodes, which are not replayed: ${outcome}`;
    return {
      ...journal,
      state: { ...journal.state, message: replayedInPart(counts, why) },
      changes: [],
    };
  }
  const all = `${counts}, ${journal.changes.length} changes of fast commits`;
  if (outcome.unsettled.size === 0) {
    const state = { ...journal.state, status: "replayed" as const, message: replayedWhole(all) };
    return { ...journal, state, unsettled: NO_FAST_COMMITS, changes: [] };
  }
  const { blocks } = touchedBy(journal.changes);
  const unsettled: FastCommits = {
    inodes: new Set(outcome.unsettled.keys()),
    blocks: blocks.filter(({ inode }) => outcome.unsettled.has(inode)),
    broken: undefined,
  };
  return {
    ...journal,
    state: { ...journal.state, message: replayedInPart(all, reasons(outcome.unsettled)) },
    unsettled,
    changes: [],
  };
}

const REASONS_MAX = 8;

function reasons(unsettled: ReadonlyMap<number, string>): string {
  const told = [...unsettled]
    .slice(0, REASONS_MAX)
    .map(([inode, why]) => `inode ${inode} (${why})`);
  const more = unsettled.size > REASONS_MAX ? ` and ${unsettled.size - REASONS_MAX} more` : "";
  return `what fast commits make of ${told.join(", ")}${more} is unknown`;
}

function whyIncomplete(
  content: LogContent,
  replayed: Replay,
  fast: FastCommits,
): string | undefined {
  if (content.broken !== undefined) return content.broken;
  if (replayed.outside) return "it writes to blocks outside the volume";
  if (replayed.lost.length > 0)
    return `the newest content of ${replayed.lost.length} blocks, block ${replayed.lost[0]} first, is lost in the journal`;
  return fast.broken;
}
