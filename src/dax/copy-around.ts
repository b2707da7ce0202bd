/**
 * copy-around: the edges of a copy-on-write, as `dax_iomap_copy_around` of fs/dax.c, and whole pages, as `dax_unshare_iter`.
 *
 * A write into shared blocks gets new blocks, and what of their first and last page the write does not cover is copied from the old ones.
 * Known poison anywhere in the source's pages refuses the copy, under the written bytes too; latent poison in an edge ends it. Both are EIO.
 * All edges are read before any is stored, so a copy that fails has stored nothing (Linux has stored the head).
 */
import { alignOut, checkRange, endOf, type ByteRange } from "../base/index.ts";
import type { DirectAccess } from "../device/index.ts";
import { mediaError, unknownPlace, type DaxFile } from "./dax-file.ts";

/** Where new blocks lie. */
export interface NewBlocks {
  readonly direct: DirectAccess;
  /** Device offset of the page that the range begins in. */
  readonly offset: number;
}

/**
 * Copies what lies in the pages of a range, before and behind it. Holes and unwritten extents of the source are zeros.
 *
 * @param range what will be written, in bytes of the file
 * @throws {MediaError} EIO if the source is bad, known or latent; nothing is stored then
 * @throws {StorageError} EIO if nobody knows where an edge lies
 */
export function copyAround(source: DaxFile, range: ByteRange, blocks: NewBlocks): void {
  const pages = alignOut(range, source.pageSize);
  checkSource(source, pages);
  const head = loadEdge(source, { offset: pages.offset, length: range.offset - pages.offset });
  const tail = loadEdge(source, { offset: endOf(range), length: endOf(pages) - endOf(range) });
  if (head.length > 0) blocks.direct.store(head, blocks.offset);
  if (tail.length > 0) blocks.direct.store(tail, blocks.offset + endOf(range) - pages.offset);
}

/**
 * Copies whole pages to blocks of their own, so that nothing is shared any more.
 *
 * @param range whole pages of the file
 * @throws {RangeError} if the range is not of whole pages
 * @throws {MediaError} EIO if source or blocks are bad; pages before that are copied
 */
export function unshareRange(source: DaxFile, range: ByteRange, blocks: NewBlocks): void {
  const { pageSize } = source;
  if (range.offset % pageSize !== 0 || range.length % pageSize !== 0) {
    throw new RangeError(
      `Cannot unshare: want whole pages of ${pageSize} bytes: got offset ${range.offset}, length ${range.length}`,
    );
  }
  checkSource(source, range);
  for (let done = 0; done < range.length; done += pageSize) {
    const at = blocks.offset + done;
    if (blocks.direct.probe(at / pageSize, 1, "access") === 0)
      throw mediaError(source, "unshare", { offset: at, length: pageSize });
    blocks.direct.store(loadEdge(source, { offset: range.offset + done, length: pageSize }), at);
  }
}

/** The source's `dax_iomap_direct_access`: known poison refuses the whole range. */
function checkSource(source: DaxFile, pages: ByteRange): void {
  const { direct, extents, pageSize } = source;
  checkRange({ offset: pages.offset, length: 0 }, extents.end);
  const end = Math.min(endOf(pages), extents.end);
  for (let position = pages.offset; position < end;) {
    const index = extents.find(position);
    const stop = Math.min(end, extents.stop(index));
    const kind = extents.kind(index);
    if (kind === "unknown") throw unknownPlace(source.name, "copy on write", position);
    if (kind === "data" || kind === "inline") {
      const device = { offset: extents.deviceOf(index, position), length: stop - position };
      const window = alignOut(device, pageSize);
      for (let at = window.offset; at < endOf(window);) {
        const granted = direct.probe(at / pageSize, (endOf(window) - at) / pageSize, "access");
        if (granted === 0) throw mediaError(source, "copy on write", device);
        at += granted * pageSize;
      }
    }
    position = stop;
  }
}

/** The bytes of an edge; zeros behind the last extent. */
function loadEdge(source: DaxFile, edge: ByteRange): Uint8Array {
  const { direct, extents } = source;
  const bytes = new Uint8Array(edge.length);
  const end = Math.min(endOf(edge), extents.end);
  for (let position = edge.offset; position < end;) {
    const index = extents.find(position);
    const stop = Math.min(end, extents.stop(index));
    const kind = extents.kind(index);
    if (kind === "data" || kind === "inline") {
      const at = extents.deviceOf(index, position);
      const piece = bytes.subarray(position - edge.offset, stop - edge.offset);
      const count = direct.load(piece, at);
      if (count < piece.length)
        throw mediaError(source, "copy on write", {
          offset: at + count,
          length: piece.length - count,
        });
    }
    position = stop;
  }
  return bytes;
}
