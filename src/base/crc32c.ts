/** crc32c: the Castagnoli checksum of ext4's metadata, iSCSI and NVMe, raw, so that seeds can be chained. */

/** The polynomial 0x1EDC6F41 (RFC 3720, section 12.1), bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/** Eight tables of 256: table `k` moves a byte through `k` further zero bytes, so that eight bytes need no chain. */
const TABLES: Int32Array = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
    }
    tables[byte] = remainder;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256]!;
    tables[at] = (before >>> 8) ^ tables[before & 0xff]!;
  }
  return tables;
}

/**
 * Continues a CRC-32C over `bytes`. Nothing is inverted, neither before nor after, as in Linux' `ext4_chksum()`:
 * the result of one piece is the seed of the next, and ext4 stores it as it is.
 *
 *     const seed = crc32c(superblock.uuid, 0xffff_ffff);        // ext4: s_csum_seed
 *     const iscsi = (crc32c(data, 0xffff_ffff) ^ 0xffff_ffff) >>> 0; // the usual, inverted form
 *
 * @param seed what came before, 32 bits: 0xffff_ffff to begin, or an earlier result
 * @returns the remainder, from 0 to 0xffff_ffff
 */
export function crc32c(bytes: Uint8Array, seed: number): number {
  const { length } = bytes;
  if (!LITTLE_ENDIAN || length < WORDS_WORTH || (bytes.byteOffset & 3) !== 0)
    return byBytes(bytes, seed, 0);
  const pairs = length >>> 3;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, pairs * 2);
  return byBytes(bytes, byWords(words, seed), pairs * 8);
}

/** The same of one 32-bit number's four bytes, little-endian, without making them. */
export function crc32cWord(value: number, seed: number): number {
  const tables = TABLES;
  const crc = seed ^ value;
  return (
    (tables[0x300 | (crc & 0xff)]! ^
      tables[0x200 | ((crc >>> 8) & 0xff)]! ^
      tables[0x100 | ((crc >>> 16) & 0xff)]! ^
      tables[crc >>> 24]!) >>>
    0
  );
}

const LITTLE_ENDIAN = new Uint8Array(new Int32Array([1]).buffer)[0] === 1;

/** Bytes from which on a view as words is worth its making: reading words is a quarter faster. */
const WORDS_WORTH = 512;

/** Sums pairs of words. */
function byWords(words: Int32Array, seed: number): number {
  const tables = TABLES;
  const count = words.length;
  let crc = seed | 0;
  for (let at = 0; at < count; at += 2) {
    const low = words[at]! ^ crc;
    const high = words[at + 1]!;
    crc =
      tables[0x700 | (low & 0xff)]! ^
      tables[0x600 | ((low >>> 8) & 0xff)]! ^
      tables[0x500 | ((low >>> 16) & 0xff)]! ^
      tables[0x400 | (low >>> 24)]! ^
      tables[0x300 | (high & 0xff)]! ^
      tables[0x200 | ((high >>> 8) & 0xff)]! ^
      tables[0x100 | ((high >>> 16) & 0xff)]! ^
      tables[high >>> 24]!;
  }
  return crc;
}

/** Sums the bytes from `at` on. */
function byBytes(bytes: Uint8Array, seed: number, from: number): number {
  const tables = TABLES;
  const length = bytes.length;
  let crc = seed | 0;
  let at = from;
  for (const end = length - 7; at < end; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      tables[0x700 | (crc & 0xff)]! ^
      tables[0x600 | ((crc >>> 8) & 0xff)]! ^
      tables[0x500 | ((crc >>> 16) & 0xff)]! ^
      tables[0x400 | (crc >>> 24)]! ^
      tables[0x300 | bytes[at + 4]!]! ^
      tables[0x200 | bytes[at + 5]!]! ^
      tables[0x100 | bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!;
  }
  for (; at < length; at += 1) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 0xff]!;
  return crc >>> 0;
}
