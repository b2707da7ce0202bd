/** compare-ranges: what deduplication asks before it shares blocks: `dax_range_compare_iter` of fs/dax.c. */
import { checkRange } from "../base/index.ts";
import { mediaError, unknownPlace, type DaxFile } from "./dax-file.ts";

/** Bytes compared at once. */
const CHUNK = 64 * 1024;

/** A place in a file. */
export interface FilePlace {
  readonly file: DaxFile;
  readonly offset: number;
}

/**
 * Whether two ranges hold the same bytes. Two holes are the same, and a hole is not the same as data, zeros or not, as in Linux.
 *
 * @throws {MediaError} EIO if either is bad, known or latent: what cannot be read is not "different"
 * @throws {StorageError} EIO if nobody knows where a part lies
 */
export function compareRanges(one: FilePlace, other: FilePlace, length: number): boolean {
  for (const { file, offset } of [one, other]) checkRange({ offset, length }, file.extents.end);
  const left = new Uint8Array(Math.min(CHUNK, length));
  const right = new Uint8Array(left.length);
  for (let done = 0; done < length;) {
    const rest = Math.min(CHUNK, length - done);
    const step = Math.min(stepOf(one, done, rest), stepOf(other, done, rest));
    const isHole = isHoleAt(one, done);
    if (isHole !== isHoleAt(other, done)) return false;
    if (!isHole) {
      loadData(one, done, left.subarray(0, step));
      loadData(other, done, right.subarray(0, step));
      if (Buffer.compare(left.subarray(0, step), right.subarray(0, step)) !== 0) return false;
    }
    done += step;
  }
  return true;
}

/** How much of the rest lies in one extent. */
function stepOf({ file, offset }: FilePlace, done: number, rest: number): number {
  const position = offset + done;
  return Math.min(rest, file.extents.stop(file.extents.find(position)) - position);
}

function isHoleAt({ file, offset }: FilePlace, done: number): boolean {
  const kind = file.extents.kind(file.extents.find(offset + done));
  if (kind === "unknown") throw unknownPlace(file.name, "dedupe", offset + done);
  return kind === "hole" || kind === "unwritten";
}

/** Fills `into` from a part of one extent. */
function loadData({ file, offset }: FilePlace, done: number, into: Uint8Array): void {
  const { direct, extents, pageSize } = file;
  const position = offset + done;
  const at = extents.deviceOf(extents.find(position), position);
  for (let copied = 0; copied < into.length;) {
    const inPage = (at + copied) % pageSize;
    const left = into.length - copied;
    const granted = direct.probe(
      (at + copied - inPage) / pageSize,
      Math.ceil((inPage + left) / pageSize),
      "access",
    );
    const step = Math.min(left, granted * pageSize - inPage);
    const count =
      granted === 0 ? 0 : direct.load(into.subarray(copied, copied + step), at + copied);
    copied += count;
    if (count < step || granted === 0)
      throw mediaError(file, "dedupe", { offset: at + copied, length: into.length - copied });
  }
}
