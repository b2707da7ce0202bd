/** crc16: the checksum of ext4's group descriptors where the volume has `uninit_bg` but not `metadata_csum`. */

/** The polynomial 0x8005 (CRC-16/ANSI, Linux' lib/crc16.c), bits reversed. */
const POLYNOMIAL = 0xa001;

const TABLE: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
  }
  return remainder;
});

/**
 * Continues a CRC-16 (ANSI, reflected) over `bytes`. Nothing is inverted, as in Linux' `crc16()`:
 * the result of one piece is the seed of the next.
 *
 * @param seed what came before, 16 bits: ext4 begins with 0xffff, CRC-16/ARC with 0
 * @returns the remainder, from 0 to 0xffff
 */
export function crc16(bytes: Uint8Array, seed: number): number {
  let crc = seed & 0xffff;
  for (let at = 0; at < bytes.length; at += 1) {
    crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[at]!) & 0xff]!;
  }
  return crc;
}
