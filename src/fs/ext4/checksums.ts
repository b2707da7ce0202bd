/**
 * Checksums: what ext4 and jbd2 sum beside plain bytes. crc32c and crc16 themselves are in base.
 *
 * Everything with metadata_csum is covered by crc32c, continued from the volume's seed; descriptors with uninit_bg alone by crc16; transactions of
 * a journal with checksum version 1 by the big-endian crc32 (0x04C11DB7). None is inverted, neither before nor after.
 */

/** Four bytes, little-endian, of a 32-bit number. */
export function littleEndian(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

function bigEndianTable(): Uint32Array {
  const table = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte << 24;
    for (let bit = 0; bit < 8; bit += 1)
      value = (value & 0x80000000) === 0 ? value << 1 : (value << 1) ^ 0x04c11db7;
    table[byte] = value;
  }
  return table;
}

const CRC32_BE = bigEndianTable();

/** Big-endian crc32 of bytes, continued from `seed` (0xFFFFFFFF to begin): kernel `crc32_be`. */
export function crc32BigEndian(bytes: Uint8Array, seed: number): number {
  let crc = seed;
  for (const byte of bytes) crc = (crc << 8) ^ CRC32_BE[((crc >>> 24) ^ byte) & 0xff]!;
  return crc >>> 0;
}
