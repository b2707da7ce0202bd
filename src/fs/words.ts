/** Words: bytes as little-endian 32-bit numbers without copying, which is what the hot loops read. */
import { assert } from "../base/index.ts";

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** A view of `bytes` as words; a copy only where they do not begin at a multiple of four. A rest under 4 bytes is left out. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  assert(LITTLE_ENDIAN, "words: this machine reads numbers with the low byte first");
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >>> 2);
}
