/** seek-hole: which parts of a file hold data, by lseek(2) with SEEK_DATA and SEEK_HOLE; for sparse copies. */
import { endOf, type ByteRange } from "../base/index.ts";
import type { HostFile } from "./host-files.ts";
import { native } from "./native.ts";
import { NodeFile } from "./node-files.ts";

const SEEK_DATA = process.platform === "darwin" ? 4 : 3;
const SEEK_HOLE = process.platform === "darwin" ? 3 : 4;
const ENXIO = 6;
/** Bytes of zeros written at once. */
const CHUNK = 1024 * 1024;

/**
 * The parts of a range that may hold data, ascending; what lies between them are holes, which read as zeros. Where the system
 * cannot say, it is the whole range.
 */
export function* dataRanges(file: HostFile, range: ByteRange): Generator<ByteRange> {
  const calls = native();
  if (calls === undefined || !(file instanceof NodeFile) || file.kind !== "file") {
    if (range.length > 0) yield range;
    return;
  }
  const seek = (offset: number, whence: number): number =>
    Number(calls.lseek(file.fd, offset, whence));
  const end = endOf(range);
  for (let at = range.offset; at < end;) {
    const data = seek(at, SEEK_DATA);
    if (data < 0 && calls.errno() === ENXIO) return;
    const hole = data < 0 ? -1 : seek(data, SEEK_HOLE);
    if (data < at || hole <= data) {
      yield { offset: at, length: end - at };
      return;
    }
    if (data >= end) return;
    yield { offset: data, length: Math.min(hole, end) - data };
    at = hole;
  }
}

/**
 * Writes zeros into the holes of a range, so that a store through a mapping cannot meet a full disk.
 *
 * @throws {StorageError} ENOSPC
 */
export function fillHoles(file: HostFile, range: ByteRange): void {
  const zeros = new Uint8Array(Math.min(CHUNK, range.length));
  let at = range.offset;
  for (const data of [...dataRanges(file, range), { offset: endOf(range), length: 0 }]) {
    while (at < data.offset) {
      const piece = zeros.subarray(0, Math.min(CHUNK, data.offset - at));
      file.writeSync(piece, at);
      at += piece.length;
    }
    at = endOf(data);
  }
}
