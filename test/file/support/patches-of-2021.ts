/**
 * The patches of October 2021 as a model: what preadv2 and pwritev2 with their RWF_RECOVERY_DATA gave on one extent of pmem. Results are
 * counts, or a negative errno. Ranges of known poison are records of the list: whole sectors, merged.
 */
import { alignOut, endOf, type ByteRange } from "../../../src/base/index.ts";

const PAGE = 4096;
const EIO = -5;
const EFAULT = -14;

/** What a call meets. */
export interface World {
  readonly known: readonly ByteRange[];
  /** Poison that no list names, in lines of 64 bytes. */
  readonly latent: readonly ByteRange[];
}

function first(ranges: readonly ByteRange[], window: ByteRange): ByteRange | undefined {
  return ranges.find(
    ({ offset, length }) => offset < endOf(window) && offset + length > window.offset,
  );
}

/** `pmem_copy_to_iter` with the flag: up to the page of the first known bad sector; latent poison stops the copy. */
export function readOf2021({ known, latent }: World, request: ByteRange): number {
  if (request.length === 0) return 0;
  const { offset } = request;
  const record = first(known, alignOut(request, PAGE));
  let length = request.length;
  if (record !== undefined) {
    const page = offset - (offset % PAGE);
    // The record's start is not clipped: one before the page makes the length underflow.
    if (record.offset < page) return EFAULT;
    if (record.offset < page + PAGE) return EIO;
    length = record.offset - (record.offset % PAGE) - offset;
  }
  const line = first(latent, { offset, length });
  const count = line === undefined ? length : Math.max(0, line.offset - offset);
  return count === 0 ? EFAULT : count;
}

/** `pmem_copy_from_iter` with the flag: whole pages, and one clear of all of them. @param clears bytes that one clear clears at most */
export function writeOf2021({ known }: World, request: ByteRange, clears: number): number {
  const { offset, length } = request;
  if (length === 0 || first(known, alignOut(request, PAGE)) === undefined) return length;
  if (offset % PAGE !== 0 || length % PAGE !== 0 || clears < length) return EIO;
  return length;
}
