/**
 * openExt4Volume(): opens a device as an ext4 volume: superblock, descriptors, layout, bitmaps, journal.
 *
 * What can go wrong: any byte may be poisoned, stale or hostile. The order is chosen so that each step stands only on what was checked before: superblock
 * (or backup), descriptors (or backups), the journal replayed in memory, and then superblock and descriptors once more through it, because a
 * dirty journal may hold newer ones. Only the absence of any superblock is an error; all else is a Problem.
 */
import type { MaybePromise } from "../../base/index.ts";
import type { JournalState, Problem } from "../file-map.ts";
import { Bitmaps } from "./bitmaps.ts";
import { BlockReader, type BlockReaderOptions, type BlockSource } from "../block-reader.ts";
import { hasFeature, unknownIncompatible } from "./features.ts";
import { Geometry } from "./geometry.ts";
import { loadDescriptors, type DescriptorTable } from "./group-descriptors.ts";
import type { FastCommits } from "./fast-commit.ts";
import { FastCommitOverlay } from "./fast-commit-blocks.ts";
import { replayFastCommits } from "./fast-commit-replay.ts";
import { openJournal, withFastCommits, type OpenJournal } from "./journal.ts";
import { Layout } from "./layout.ts";
import { mmpProblem } from "./mmp.ts";
import { Problems } from "../problems.ts";
import { findSuperblock } from "./superblock-search.ts";
import {
  decodeSuperblock,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  type Superblock,
} from "./superblock.ts";
import type { BlockRead, Ext4Volume } from "./volume.ts";

/** Groups that are ever loaded: 512 TiB with 4 KiB blocks. */
const MAX_GROUPS = 2 ** 22;

/** How a volume is opened. */
export type OpenVolumeOptions = BlockReaderOptions;

/**
 * Opens a device as ext4 (or ext3, ext2: older layouts of the same format, and named "ext4" too).
 *
 * @param source bytes from offset 0 of the file system; must stay open
 * @throws {StorageError} EBADMSG if it is none, or is an external journal; what the device throws itself
 */
export async function openExt4Volume(
  source: BlockSource,
  options: OpenVolumeOptions = {},
): Promise<Ext4Volume> {
  const problems = new Problems();
  const report = problems.add.bind(problems);
  const superblock = await findSuperblock(source, report);
  const reader = new BlockReader(source, superblock.blockSize, options);
  // What is wrong before the replay may be right after it: it is told only if the journal changes nothing.
  const early = new Problems();
  const parts = await loadParts({ superblock, reader, problems: early });
  const journal = await openJournal({ superblock, groups: parts.table.groups, reader, report });
  const replayed = await throughJournal({ parts, journal, problems, early });
  const { current, settled } = await throughFastCommits(replayed, journal);
  reportLimits(current, report);
  const volume = new OpenVolume(current, settled);
  const inUse = await mmpProblem(volume);
  if (inUse !== undefined) report(inUse);
  return volume;
}

/** Descriptors and layout after fast commits; what of them could not be applied is in `settled`. */
async function throughFastCommits(
  parts: LoadedParts,
  journal: OpenJournal,
): Promise<{ readonly current: LoadedParts; readonly settled: OpenJournal }> {
  if (journal.changes.length === 0) return { current: parts, settled: journal };
  const { superblock, reader, problems } = parts;
  // What this look finds wrong is found again by the next one.
  const before = new OpenVolume({ ...parts, problems: new Problems() }, journal);
  const outcome =
    before.unknownFeatures.length > 0
      ? "the volume has features that this map cannot read"
      : await replayFastCommits(before, parts.table.geometry, journal.changes);
  const settled = withFastCommits(journal, outcome);
  if (settled.state.status !== "replayed")
    problems.add({ inode: superblock.journalInode, message: settled.state.message });
  if (typeof outcome === "string") return { current: parts, settled };
  reader.overlay = new FastCommitOverlay(reader.overlay, outcome.blocks);
  const again = await loadParts({ superblock, reader, problems: new Problems() });
  return { current: { ...again, problems }, settled };
}

interface Opening {
  /** As they are on the device. */
  readonly parts: LoadedParts;
  readonly journal: OpenJournal;
  readonly problems: Problems;
  readonly early: Problems;
}

/** Superblock, descriptors and layout as they are after replay. */
async function throughJournal({ parts, journal, problems, early }: Opening): Promise<LoadedParts> {
  if (journal.overlay === undefined) {
    for (const problem of early.list) problems.add(problem);
    return { ...parts, problems };
  }
  const { reader, superblock } = parts;
  reader.overlay = journal.overlay;
  const block = superblock.blockSize === 1024 ? 1 : 0;
  if (journal.overlay.find(block) === undefined) return loadParts({ superblock, reader, problems });
  const { bytes, bad } = await reader.readBlocks(block, 1);
  const start = SUPERBLOCK_OFFSET - block * superblock.blockSize;
  const result = decodeSuperblock(bytes.slice(start, start + SUPERBLOCK_SIZE), "primary");
  const newer =
    result.superblock !== undefined && result.checksumOk !== false ? result.superblock : undefined;
  if (bad.length > 0 || newer?.blockSize !== superblock.blockSize) {
    problems.add({
      message:
        "The journal holds a newer superblock that is unreadable or wrong: the one in place serves",
    });
    return loadParts({ superblock, reader, problems });
  }
  return loadParts({ superblock: newer, reader, problems });
}

function reportLimits({ superblock, reader }: Parts, report: (problem: Problem) => void): void {
  const there = Math.floor(reader.source.size / superblock.blockSize);
  if (there < superblock.blockCount) {
    report({
      message: `The volume has ${superblock.blockCount} blocks, and only ${there} are there: it was cut off`,
    });
  }
  const unknown = unknownIncompatible(superblock);
  if (unknown.length > 0) {
    report({
      message: `The volume has features this map cannot read (${unknown.join(", ")}): owners are unknown`,
    });
  }
}

interface Parts {
  readonly superblock: Superblock;
  readonly reader: BlockReader;
  readonly problems: Problems;
}

interface LoadedParts extends Parts {
  readonly table: DescriptorTable;
  readonly layout: Layout;
}

async function loadParts(parts: Parts): Promise<LoadedParts> {
  const { superblock, reader, problems } = parts;
  const geometry = new Geometry(superblock);
  const report = problems.add.bind(problems);
  const groups = groupsThere(superblock, reader.source.size);
  if (groups < superblock.groupCount)
    report({
      message: `Of ${superblock.groupCount} groups only the first ${groups} are looked at: the rest is not there`,
    });
  const readBlocks = (block: number, count: number): MaybePromise<BlockRead | undefined> =>
    inside(superblock, block, count) ? reader.readBlocks(block, count) : undefined;
  const table = await loadDescriptors(geometry, { readBlocks, report, groups });
  return { ...parts, table, layout: new Layout(table, report) };
}

/** Groups whose structures can be on a device of a size: those that begin on it, and the rest of the last flexible group. */
function groupsThere(superblock: Superblock, size: number): number {
  const begun = Math.ceil(
    Math.max(1, size / superblock.blockSize - superblock.firstDataBlock) /
      superblock.blocksPerGroup,
  );
  const flex = hasFeature(superblock, "flex_bg")
    ? 2 ** Math.min(superblock.logGroupsPerFlex, 12)
    : 1;
  return Math.min(superblock.groupCount, Math.ceil(begun / flex) * flex, MAX_GROUPS);
}

function inside(superblock: Superblock, block: number, count: number): boolean {
  return (
    Number.isSafeInteger(block) && block >= 0 && count > 0 && block + count <= superblock.blockCount
  );
}

class OpenVolume implements Ext4Volume {
  readonly superblock: Superblock;
  readonly journal: JournalState;
  readonly unknownFeatures: readonly string[];
  readonly unsettled: FastCommits;
  readonly #parts: LoadedParts;
  readonly #bitmaps: Bitmaps;

  constructor(parts: LoadedParts, journal: OpenJournal) {
    this.superblock = parts.superblock;
    this.journal = journal.state;
    this.unsettled = journal.unsettled;
    this.unknownFeatures = unknownIncompatible(parts.superblock);
    this.#parts = parts;
    this.#bitmaps = new Bitmaps(parts.table, this.readBlocks.bind(this), this.report.bind(this));
  }

  get groups(): Ext4Volume["groups"] {
    return this.#parts.table.groups;
  }

  get problems(): Ext4Volume["problems"] {
    return this.#parts.problems.list;
  }

  report(problem: Ext4Volume["problems"][number]): void {
    this.#parts.problems.add(problem);
  }

  readBlocks(block: number, count: number, once = false): MaybePromise<BlockRead | undefined> {
    return inside(this.superblock, block, count)
      ? this.#parts.reader.readBlocks(block, count, once)
      : undefined;
  }

  staticUses(block: number, count: number): ReturnType<Ext4Volume["staticUses"]> {
    return this.#parts.layout.staticUses(block, count);
  }

  groupBlocks(group: number): { readonly block: number; readonly count: number } {
    const { geometry } = this.#parts.table;
    const block = geometry.groupStart(group);
    return { block, count: Math.max(0, geometry.groupEnd(group) - block) };
  }

  allocated(block: number, count: number): ReturnType<Ext4Volume["allocated"]> {
    return this.#bitmaps.allocated(block, count);
  }

  inodeAllocated(inode: number): MaybePromise<boolean | undefined> {
    return this.#bitmaps.inodeAllocated(inode);
  }
}
