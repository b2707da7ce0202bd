/**
 * protocol: the numbers of the NBD protocol, in the words of its specification (doc/proto.md of the NBD project), for client and server.
 *
 * Everything on the wire is big-endian. Bits that the specification numbers stand here as masks. What it marks as experimental is in use
 * (extended headers are in QEMU and libnbd); what it withdrew is missing on purpose.
 */
import type { ErrorCode } from "../../base/index.ts";

/** Magic numbers ("Newstyle negotiation", "Request message", "Reply message"); the three of eight bytes as their two words. */
export const NBD_MAGIC = {
  /** "NBDMAGIC", the first eight bytes of a server. */
  INIT: [0x4e42444d, 0x41474943],
  /** "IHAVEOPT", after them from a server of the newstyle, and before every option of a client. */
  OPTION: [0x49484156, 0x454f5054],
  /** Second word pair of the oldstyle handshake, which nobody speaks any more: told apart only for its message. */
  OLDSTYLE: [0x00004202, 0x81861253],
  OPTION_REPLY: [0x0003e889, 0x045565a9],
  REQUEST: 0x25609513,
  EXTENDED_REQUEST: 0x21e41c71,
  SIMPLE_REPLY: 0x67446698,
  STRUCTURED_REPLY: 0x668e33ef,
  EXTENDED_REPLY: 0x6e8a278c,
} as const;

/** The port that IANA gave NBD. */
export const NBD_PORT = 10809;

/** Handshake flags: the server's 16 bits and the client's 32 have the same two ("Handshake flags", "Client flags"). */
export const NBD_HANDSHAKE = { FIXED_NEWSTYLE: 1, NO_ZEROES: 2 } as const;

/** Options of the haggling phase ("Option types"). */
export const NBD_OPTION = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const;

/** Replies to options ("Option reply types"); those from `ERROR_BIT` up are errors, and may carry a text. */
export const NBD_OPTION_REPLY = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERROR_BIT: 0x8000_0000,
  ERR_UNSUP: 0x8000_0001,
  ERR_POLICY: 0x8000_0002,
  ERR_INVALID: 0x8000_0003,
  ERR_PLATFORM: 0x8000_0004,
  ERR_TLS_REQD: 0x8000_0005,
  ERR_UNKNOWN: 0x8000_0006,
  ERR_SHUTDOWN: 0x8000_0007,
  ERR_BLOCK_SIZE_REQD: 0x8000_0008,
  ERR_TOO_BIG: 0x8000_0009,
  ERR_EXT_HEADER_REQD: 0x8000_000a,
} as const;

/** Information in replies to INFO and GO ("NBD_REP_INFO"). */
export const NBD_INFO = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** Transmission flags of an export, 16 bits ("Transmission flags"). */
export const NBD_EXPORT = {
  HAS_FLAGS: 0x0001,
  READ_ONLY: 0x0002,
  SEND_FLUSH: 0x0004,
  SEND_FUA: 0x0008,
  ROTATIONAL: 0x0010,
  SEND_TRIM: 0x0020,
  SEND_WRITE_ZEROES: 0x0040,
  SEND_DF: 0x0080,
  CAN_MULTI_CONN: 0x0100,
  SEND_RESIZE: 0x0200,
  SEND_CACHE: 0x0400,
  SEND_FAST_ZERO: 0x0800,
  BLOCK_STATUS_PAYLOAD: 0x1000,
} as const;

/** Requests ("Request types"). */
export const NBD_COMMAND = {
  READ: 0,
  WRITE: 1,
  DISCONNECT: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

/** Flags of a request ("Command flags"). */
export const NBD_COMMAND_FLAG = {
  FUA: 0x0001,
  NO_HOLE: 0x0002,
  DF: 0x0004,
  REQ_ONE: 0x0008,
  FAST_ZERO: 0x0010,
  PAYLOAD_LEN: 0x0020,
} as const;

/** Flag of a chunk that ends its reply ("Structured reply flags"). */
export const NBD_REPLY_DONE = 1;

/** Chunks of structured and extended replies ("Structured reply types"); those with `ERROR_BIT` are errors, known or not. */
export const NBD_CHUNK = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  BLOCK_STATUS_EXT: 6,
  ERROR_BIT: 0x8000,
  ERROR: 0x8001,
  ERROR_OFFSET: 0x8002,
} as const;

/** Error numbers on the wire ("Error values"): Linux', and no others. */
export const NBD_ERROR = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

/** Name of an error number on the wire, for messages and for Node's `code`; "EINVAL" for one that the specification does not have, as it wants. */
export function nbdErrorName(errno: number): keyof typeof NBD_ERROR {
  for (const [name, value] of Object.entries(NBD_ERROR))
    if (value === errno) return name as keyof typeof NBD_ERROR;
  return "EINVAL";
}

/** The error number that tells a failure of ours to a client: what the protocol has no word for is EIO. */
export function nbdErrorOf(code: ErrorCode | (string & {})): number {
  if (code === "EACCES" || code === "EPERM") return NBD_ERROR.EPERM;
  if (code === "EINVAL" || code === "EOPNOTSUPP") return NBD_ERROR.EINVAL;
  return code === "ENOSPC" ? NBD_ERROR.ENOSPC : NBD_ERROR.EIO;
}

/** Bits of the context `base:allocation`; 0 is always safe, and no bad byte ever has ZERO (R1). */
export const NBD_ALLOCATION = { HOLE: 1, ZERO: 2 } as const;

/** Longest string of the protocol, in bytes ("Conventions"). */
export const NBD_STRING_MAX = 4096;

/** What a client may assume where the server names no block sizes ("Block size constraints"), in bytes. */
export const NBD_DEFAULT_SIZES = {
  minimum: 1,
  preferred: 4096,
  maximum: 0x200_0000,
} as const;

/** The largest `maximum` of a server means: no limit. */
export const NBD_UNLIMITED = 0xffff_ffff;
