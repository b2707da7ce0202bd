/** Static owners: what the geometry alone gives a use: the header sectors of every allocation group, and the log. */
import { endOf, type ByteRange } from "../../base/index.ts";
import type { OwnerWhat } from "../file-map.ts";
import type { Segment } from "../owner-draft.ts";
import { draftOf } from "../owner-texts.ts";
import { headerBlocks, plainBlock } from "./geometry.ts";
import type { Superblock } from "./superblock.ts";

const HEADERS: readonly OwnerWhat[] = [
  "superblock",
  "free-space-header",
  "inode-header",
  "free-list",
];

/** A part of a range: with an owner by the geometry, or without, where only metadata can tell. */
export interface Part extends ByteRange {
  readonly owner: Segment["owners"][0] | undefined;
}

/** Cuts a range of the volume by static use: no gaps, ascending. */
export function* staticParts(superblock: Superblock, range: ByteRange): Generator<Part> {
  if (isPlain(superblock, range)) {
    yield { offset: range.offset, length: range.length, owner: undefined };
    return;
  }
  let at = range.offset;
  for (const segment of staticSegments(superblock, range)) {
    const start = Math.max(at, segment.offset);
    const end = Math.min(endOf(range), endOf(segment));
    if (end <= start) continue;
    if (start > at) yield { offset: at, length: start - at, owner: undefined };
    const owner = segment.owner;
    const placed =
      owner?.at === undefined ? owner : { ...owner, at: owner.at + start - segment.offset };
    yield { offset: start, length: end - start, owner: placed };
    at = end;
  }
  if (at < endOf(range)) yield { offset: at, length: endOf(range) - at, owner: undefined };
}

/** Whether a range is in one AG, and neither in its headers nor in the log: nearly all are. */
function isPlain(superblock: Superblock, range: ByteRange): boolean {
  const { agBlocks, blockSize } = superblock;
  const agSize = agBlocks * blockSize;
  const start = range.offset - (range.offset % agSize);
  if (range.offset < start + headerBlocks(superblock) * blockSize) return false;
  if (endOf(range) > start + agSize) return false;
  const log = logRange(superblock);
  return log === undefined || endOf(range) <= log.offset || range.offset >= endOf(log);
}

/** Segments of static use near a range, ascending. */
function* staticSegments(superblock: Superblock, range: ByteRange): Generator<Part> {
  const { agBlocks, blockSize, sectorSize, agCount } = superblock;
  const agSize = agBlocks * blockSize;
  const log = logRange(superblock);
  const last = Math.min(agCount - 1, Math.floor((endOf(range) - 1) / agSize));
  for (let ag = Math.floor(range.offset / agSize); ag <= last; ag += 1) {
    const start = ag * agSize;
    for (const [index, what] of HEADERS.entries()) {
      const owner = draftOf(index === 0 && ag > 0 ? "superblock-backup" : what);
      yield { offset: start + index * sectorSize, length: sectorSize, owner };
    }
    const rest = start + 4 * sectorSize;
    const length = start + headerBlocks(superblock) * blockSize - rest;
    if (length > 0) yield { offset: rest, length, owner: draftOf("padding") };
    if (log !== undefined && Math.floor(log.offset / agSize) === ag)
      yield { ...log, owner: draftOf("journal-log", { at: 0 }) };
  }
}

/** Where the log is; `undefined` where it is on another device, or impossible. */
function logRange(superblock: Superblock): ByteRange | undefined {
  const { logStart, logBlocks, blockSize } = superblock;
  const block = logStart === 0 ? undefined : plainBlock(superblock, logStart, logBlocks);
  return block === undefined
    ? undefined
    : { offset: block * blockSize, length: logBlocks * blockSize };
}
