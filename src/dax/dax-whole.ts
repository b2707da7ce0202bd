/**
 * dax-whole: the short way of most calls: one buffer, all of it in one extent of data and one window that holds nothing known to be bad. It does
 * what dax-read and dax-write do there, without a vector and without an object; everything else takes the long way.
 *
 * This is the hot path of a call: docs/performance.md says what each step of it costs.
 */
import type { DaxFile } from "./dax-file.ts";
import { storeAndProve } from "./dax-write.ts";

/**
 * Where on the device a range of a file lies that one probe lets through (R6: the one look-up of a call); -1 where a longer look is needed.
 *
 * @param offset a whole number of bytes from 0 on
 */
function wholeAt(file: DaxFile, length: number, offset: number): number {
  const { extents, pageSize } = file;
  const end = offset + length;
  const index = extents.find(offset);
  if (index < 0 || length === 0 || end > file.size || end > extents.stop(index)) return -1;
  if (extents.kind(index) !== "data") return -1;
  const at = extents.deviceOf(index, offset);
  // Not `%`: on numbers past 2^31 that is a call of its own.
  const page = Math.floor(at / pageSize);
  const pages = Math.ceil((at + length) / pageSize) - page;
  return file.direct.probe(page, pages, "access") === pages ? at : -1;
}

/**
 * Reads as `daxRead` does in "access".
 *
 * @returns bytes read, before the first latent bad one; -1 where the long way must be taken, and nothing was touched
 */
export function daxReadWhole(file: DaxFile, into: Uint8Array, offset: number): number {
  const at = wholeAt(file, into.length, offset);
  return at < 0 ? -1 : file.direct.load(into, at);
}

/**
 * Writes as `daxWrite` does in "access".
 *
 * @returns whether it is written; where not, nothing was touched
 * @throws {MediaError} if the memory refuses it
 */
export function daxWriteWhole(file: DaxFile, from: Uint8Array, offset: number): boolean {
  const at = wholeAt(file, from.length, offset);
  if (at < 0) return false;
  file.direct.store(from, at);
  return true;
}

/** Writes as `daxWrite` does in "recovery". @returns whether all of it is written and stands; where not, the long way heals it */
export function daxProveWhole(file: DaxFile, from: Uint8Array, offset: number): boolean {
  const at = wholeAt(file, from.length, offset);
  return at >= 0 && storeAndProve(file, from, at);
}
