/**
 * zero-range: `dax_zero_range` and `dax_zero_iter` of fs/dax.c: what truncate, fallocate and the edges of a punch call.
 *
 * A whole page goes to the driver, which clears poison in it (`dax_zero_page_range`). A part of a page is a plain store of zeros
 * (`dax_memzero`), and known poison anywhere in that page refuses it: zeros beside poison would leave the poison. Holes and unwritten extents
 * are zeros already, and what lies under them is not touched.
 */
import { checkRange, endOf, StorageError, type ByteRange } from "../base/index.ts";
import { mediaError, type DaxFile } from "./dax-file.ts";
import type { ExtentKind } from "./extent-table.ts";

/** Bytes of zeros that one store takes at most: a part of a page. */
const ZEROS = new Uint8Array(64 * 1024);

/**
 * Zeros a range of a file, page by page; the pages before one that fails are zeros then, as in Linux.
 *
 * @returns whether any byte was written (`did_zero`)
 * @throws {MediaError} EIO if a part of a page meets known poison, or a clear fails: what is named is still bad (R5)
 * @throws {StorageError} EOPNOTSUPP before any byte moves, if the range holds inline data or its place is not known
 */
export function zeroRange(file: DaxFile, range: ByteRange): boolean {
  checkRange(range, file.extents.end);
  checkKinds(file, range);
  const end = endOf(range);
  let didZero = false;
  for (let position = range.offset; position < end;) {
    const index = file.extents.find(position);
    const stop = Math.min(end, file.extents.stop(index));
    if (file.extents.kind(index) === "data") {
      const at = file.extents.deviceOf(index, position);
      zeroExtent(file, at, stop - position);
      didZero = true;
    }
    position = stop;
  }
  return didZero;
}

/** Zeros a run of bytes of the device: parts of pages at its ends, whole pages between. */
function zeroExtent(file: DaxFile, offset: number, length: number): void {
  const { direct, pageSize } = file;
  const end = offset + length;
  for (let at = offset; at < end;) {
    const inPage = at % pageSize;
    const step = Math.min(pageSize - inPage, end - at);
    if (step === pageSize) direct.zeroPages(at / pageSize, 1);
    else zeroPart(file, at, step);
    at += step;
  }
}

/** `dax_memzero`. */
function zeroPart(file: DaxFile, offset: number, length: number): void {
  const { direct, pageSize } = file;
  const page = Math.floor(offset / pageSize);
  if (direct.probe(page, 1, "access") === 0)
    throw mediaError(file, "zero range", { offset: page * pageSize, length: pageSize });
  for (let done = 0; done < length; done += ZEROS.length)
    direct.store(ZEROS.subarray(0, Math.min(ZEROS.length, length - done)), offset + done);
}

const ZEROABLE: ReadonlySet<ExtentKind> = new Set(["data", "hole", "unwritten"]);

function checkKinds({ name, extents }: DaxFile, range: ByteRange): void {
  for (let position = range.offset; position < endOf(range);) {
    const index = extents.find(position);
    const kind = extents.kind(index);
    if (!ZEROABLE.has(kind)) {
      throw new StorageError(
        "EOPNOTSUPP",
        `Cannot zero ${name} at offset ${position}: its bytes there are ${kind}`,
        { syscall: "zero range", path: name },
      );
    }
    position = extents.stop(index);
  }
}
