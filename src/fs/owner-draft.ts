/**
 * Owner drafts: owners before paths are known, on segments of bytes that are cut, merged and clipped before they are told.
 */
import { endOf, type ByteRange } from "../base/index.ts";
import type { OwnedRange, Owner, OwnerKind, OwnerWhat } from "./file-map.ts";

/** One owner of a segment. All have the same fields, because there are as many as there is damage. */
export interface OwnerDraft {
  readonly kind: OwnerKind;
  readonly what: OwnerWhat;
  readonly why: string;
  /** `undefined` where it belongs to none. */
  readonly inode: number | undefined;
  /** Where the segment's first byte is in the file or structure; `undefined` where that says nothing. */
  readonly at: number | undefined;
  /** Set where the range is shared on purpose. */
  readonly shared?: boolean;
}

/** A range of the volume with its owners. */
export interface Segment extends ByteRange {
  readonly owners: readonly OwnerDraft[];
}

/** The draft of a segment that begins at byte `at` of the file or structure. */
export function placedAt({ kind, what, why, inode, shared }: OwnerDraft, at: number): OwnerDraft {
  return shared === true ? { kind, what, why, inode, at, shared } : { kind, what, why, inode, at };
}

/** A draft of what is shared on purpose. */
export function sharedDraft({ kind, what, why, inode, at }: OwnerDraft): OwnerDraft {
  return { kind, what, why, inode, at, shared: true };
}

/** A draft as it is `by` bytes later. */
export function shifted(draft: OwnerDraft, by: number): OwnerDraft {
  return draft.at === undefined || by === 0 ? draft : placedAt(draft, draft.at + by);
}

function continues(one: Segment, other: Segment): boolean {
  if (endOf(one) !== other.offset || one.owners.length !== other.owners.length) return false;
  return one.owners.every((owner, index) => {
    const next = other.owners[index]!;
    const same =
      owner.kind === next.kind &&
      owner.what === next.what &&
      owner.inode === next.inode &&
      owner.shared === next.shared &&
      owner.why === next.why;
    return (
      same && (owner.at === undefined ? next.at === undefined : owner.at + one.length === next.at)
    );
  });
}

/** Ascending segments, neighbours with equal owners joined. */
export class SegmentList {
  readonly #segments: Segment[] = [];

  /** Adds a segment; it must not begin before the last one ended. */
  add(segment: Segment): void {
    if (segment.length <= 0) return;
    const last = this.#segments.at(-1);
    if (last !== undefined && continues(last, segment)) {
      this.#segments[this.#segments.length - 1] = { ...last, length: last.length + segment.length };
    } else this.#segments.push(segment);
  }

  /** What was added. */
  get segments(): readonly Segment[] {
    return this.#segments;
  }
}

/** Segments as they are told, with the paths of their inodes. */
export function toOwnedRanges(
  segments: readonly Segment[],
  pathsOf: (inode: number) => readonly string[],
): OwnedRange[] {
  const told: OwnedRange[] = [];
  for (const { offset, length, owners } of segments) {
    const list: Owner[] = [];
    for (const draft of owners) list.push(ownerOf(draft, length, pathsOf));
    told.push({ offset, length, owners: list });
  }
  return told;
}

function ownerOf(
  draft: OwnerDraft,
  length: number,
  pathsOf: (inode: number) => readonly string[],
): Owner {
  const { kind, what, why, inode, at, shared } = draft;
  const ranges = at === undefined ? [] : [{ offset: at, length }];
  if (inode === undefined) return { kind, ranges, what, why };
  const paths = pathsOf(inode);
  return shared === true
    ? { kind, inode, paths, ranges, what, shared, why }
    : { kind, inode, paths, ranges, what, why };
}

/** Ranges sorted, joined, and cut at `limit`: what is below it, and what is not. @throws {TypeError} if a number is not whole */
export function normalizeRanges(
  ranges: Iterable<ByteRange>,
  limit: number,
): { readonly inside: ByteRange[]; readonly past: ByteRange[] } {
  const joined: ByteRange[] = [];
  for (const range of sortedRanges(ranges)) {
    const last = joined.at(-1);
    if (last === undefined || endOf(last) < range.offset) joined.push(range);
    else if (endOf(range) > endOf(last))
      joined[joined.length - 1] = { offset: last.offset, length: endOf(range) - last.offset };
  }
  const inside: ByteRange[] = [];
  const past: ByteRange[] = [];
  for (const range of joined) {
    if (endOf(range) <= limit) {
      inside.push(range);
      continue;
    }
    if (range.offset < limit) inside.push({ offset: range.offset, length: limit - range.offset });
    const start = Math.max(range.offset, limit);
    past.push({ offset: start, length: endOf(range) - start });
  }
  return { inside, past };
}

/** Ranges that are not empty, by ascending offset. */
function sortedRanges(ranges: Iterable<ByteRange>): readonly ByteRange[] {
  const sorted: ByteRange[] = [];
  let ascending = true;
  for (const range of ranges) {
    checkWhole(range);
    if (range.length === 0) continue;
    if (sorted.length > 0 && sorted[sorted.length - 1]!.offset > range.offset) ascending = false;
    sorted.push(range);
  }
  return ascending ? sorted : sorted.sort((one, other) => one.offset - other.offset);
}

function checkWhole({ offset, length }: ByteRange): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (whole && offset >= 0 && length >= 0 && Number.isSafeInteger(offset + length)) return;
  throw new TypeError(
    `Cannot tell owners: want whole, non-negative offset and length: got offset ${offset}, length ${length}`,
  );
}
