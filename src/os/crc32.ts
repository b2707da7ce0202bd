/** crc32: zlib's checksum (IEEE 802.3), loaded when it is first needed: most commands meet neither a sidecar nor a GPT. */

let zlib: typeof import("node:zlib") | undefined;

/** The CRC-32 of bytes; `value` is that of the bytes before them. @default 0 */
export function crc32(data: Uint8Array, value = 0): number {
  zlib ??= process.getBuiltinModule("node:zlib");
  return zlib.crc32(data, value);
}
