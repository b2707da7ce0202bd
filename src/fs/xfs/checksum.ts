/** Checksums: the inverted crc32c over a whole structure, its own four bytes counted as zeros (kernel: xfs_cksum.h). */
import { crc32c } from "../../base/index.ts";

const ZEROS = new Uint8Array(4);

/** The checksum that a structure must hold in the four bytes at `at`. */
function checksumOf(bytes: Uint8Array, at: number): number {
  const head = crc32c(bytes.subarray(0, at), 0xffff_ffff);
  return ~crc32c(bytes.subarray(at + 4), crc32c(ZEROS, head)) >>> 0;
}

/** Whether a structure's checksum, little-endian at `at`, is right. */
export function checksumOk(bytes: Uint8Array, at: number): boolean {
  return viewOf(bytes).getUint32(at, true) === checksumOf(bytes, at);
}

/** A view to read the big-endian numbers of a structure. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** 64 bits, big-endian, as a number: exact up to 2^53, so `Number.isSafeInteger` tells what cannot be meant. */
export function wideAt(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

/** Whether 16 bytes are a UUID. */
export function uuidIs(bytes: Uint8Array, at: number, uuid: Uint8Array): boolean {
  for (let index = 0; index < 16; index += 1) if (bytes[at + index] !== uuid[index]) return false;
  return true;
}
