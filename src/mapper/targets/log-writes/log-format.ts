/**
 * log-format: the log of dm-log-writes on disk (drivers/md/dm-log-writes.c). All numbers little endian, all places and lengths in sectors
 * of the size that the first sector names.
 *
 *     sector 0           magic u64, version u64, number of entries u64, bytes of a sector u32
 *     then, back to back for each entry, a sector and its data:
 *         first sector u64, sectors u64, flags u64, bytes of its own data u64, text of a mark
 *         the data written, `sectors` long; a discard and a mark have none
 *
 * A log may come from anywhere: what is decoded here is checked here, and a number that cannot be true is refused with what it should be.
 */
import { isPowerOfTwo, MAX_OFFSET, SECTOR } from "../../../base/index.ts";

/** "rhswfsj" backwards. */
const MAGIC = 0x6a_7366_7773_6872n;

const VERSION = 1n;

/** Bytes of an entry before the text of a mark. */
export const ENTRY_SIZE = 32;

/** Largest sector of a device that has a log. */
const SECTOR_SIZE_MAX = 65_536;

/** Flags of an entry. */
export const LOG_FLAGS = { flush: 1, fua: 2, discard: 4, mark: 8, metadata: 16 } as const;

const ALL_FLAGS = 31n;

/** The text of the mark that ends a session. */
export const END_MARK = "dm-log-writes-end";

/** The first sector. */
export interface LogSuper {
  /** Entries that are said to follow; after a crash more may. */
  readonly entries: number;
  /** Bytes of a sector; a power of two from 512 up. */
  readonly sectorSize: number;
}

/** One entry. */
export interface LogEntry {
  /** Where on the device it was written, in bytes. */
  readonly offset: number;
  /** Bytes that were written or discarded; 0 of a flush alone or a mark. */
  readonly length: number;
  /** Bits of `LOG_FLAGS`. */
  readonly flags: number;
  /** Text of a mark. */
  readonly mark: string | undefined;
  /** Bytes of the log that its data takes, behind its sector; the first `length` of them are the data. */
  readonly dataLength: number;
}

/** Why bytes are no log or entry. */
export interface LogFault {
  /** What was wanted and what came. */
  readonly fault: string;
}

/** Whether a decoding failed. */
export function isFault(decoded: object): decoded is LogFault {
  return "fault" in decoded;
}

/** Writes a first sector. @param into a sector of zeros */
export function encodeSuper(into: Uint8Array, { entries, sectorSize }: LogSuper): void {
  const view = viewOf(into);
  view.setBigUint64(0, MAGIC, true);
  view.setBigUint64(8, VERSION, true);
  view.setBigUint64(16, BigInt(entries), true);
  view.setUint32(24, sectorSize, true);
}

/**
 * Reads a first sector.
 *
 * @param logSize bytes of the log, which bounds what it can say
 */
export function decodeSuper(bytes: Uint8Array, logSize: number): LogSuper | LogFault {
  const view = viewOf(bytes);
  const magic = view.getBigUint64(0, true);
  if (magic !== MAGIC)
    return { fault: `want the magic number ${hex(MAGIC)} at its beginning: got ${hex(magic)}` };
  const version = view.getBigUint64(8, true);
  if (version !== VERSION) return { fault: `want version 1: got ${version}` };
  const sectorSize = view.getUint32(24, true);
  if (!isPowerOfTwo(sectorSize) || sectorSize < SECTOR || sectorSize > SECTOR_SIZE_MAX)
    return {
      fault: `want sectors of a power of two from ${SECTOR} to ${SECTOR_SIZE_MAX} bytes: got ${sectorSize}`,
    };
  const entries = view.getBigUint64(16, true);
  const most = Math.max(0, Math.floor(logSize / sectorSize) - 1);
  if (entries > BigInt(most))
    return { fault: `want at most ${most} entries in ${logSize} bytes: got ${entries}` };
  return { entries: Number(entries), sectorSize };
}

/** Writes an entry's sector. @param into a sector of zeros */
export function encodeEntry(into: Uint8Array, entry: LogEntry): void {
  const view = viewOf(into);
  const text = new TextEncoder().encode(entry.mark ?? "");
  view.setBigUint64(0, BigInt(entry.offset / into.length), true);
  view.setBigUint64(8, BigInt(entry.length / into.length), true);
  view.setBigUint64(16, BigInt(entry.flags), true);
  view.setBigUint64(24, BigInt(text.length), true);
  into.set(text, ENTRY_SIZE);
}

/** The part of a mark's text that a sector holds, as the kernel cuts it. */
export function fittingMark(text: string, sectorSize: number): string {
  const bytes = new TextEncoder().encode(text).subarray(0, sectorSize - ENTRY_SIZE - 1);
  // a character that the cut halves becomes one of replacement, which may be longer: it goes
  const cut = new TextDecoder().decode(bytes).replace(/\uFFFD$/u, "");
  return bytes.length < sectorSize - ENTRY_SIZE - 1 ? text : cut;
}

/**
 * Reads an entry's sector.
 *
 * @param bytes the whole sector
 * @param left bytes of the log behind it
 */
export function decodeEntry(bytes: Uint8Array, left: number): LogEntry | LogFault {
  const view = viewOf(bytes);
  const sectorSize = bytes.length;
  const sector = view.getBigUint64(0, true);
  const sectors = view.getBigUint64(8, true);
  const flags = view.getBigUint64(16, true);
  const ownLength = view.getBigUint64(24, true);
  const fault = faultOf({ sector, sectors, flags, ownLength, sectorSize, left });
  if (fault !== undefined) return { fault };
  const bits = Number(flags);
  if ((bits & LOG_FLAGS.mark) !== 0) {
    const mark = bytes.subarray(ENTRY_SIZE, ENTRY_SIZE + Number(ownLength));
    return {
      offset: 0,
      length: 0,
      flags: bits,
      mark: new TextDecoder().decode(mark),
      dataLength: 0,
    };
  }
  if (bytes[ENTRY_SIZE] !== 0) return { fault: "want no text behind an entry that is no mark" };
  const whole = Number(sectors) * sectorSize;
  return {
    offset: Number(sector) * sectorSize,
    // kernels that logged direct access padded the last sector
    length: ownLength === 0n ? whole : Number(ownLength),
    flags: bits,
    mark: undefined,
    dataLength: (bits & LOG_FLAGS.discard) === 0 ? whole : 0,
  };
}

/** The numbers of an entry. */
interface EntryNumbers {
  readonly sector: bigint;
  readonly sectors: bigint;
  readonly flags: bigint;
  readonly ownLength: bigint;
  readonly sectorSize: number;
  readonly left: number;
}

function faultOf(entry: EntryNumbers): string | undefined {
  const { sector, sectors, flags, ownLength, sectorSize, left } = entry;
  const size = BigInt(sectorSize);
  if (flags > ALL_FLAGS) return `want flags up to ${ALL_FLAGS}: got ${flags}`;
  if (flags === 0n && sectors === 0n) return "want data, a flush, a discard or a mark: got nothing";
  if ((flags & BigInt(LOG_FLAGS.mark)) !== 0n) {
    if (sectors !== 0n) return `want no data behind a mark: got ${sectors} sectors`;
    const most = sectorSize - ENTRY_SIZE;
    return ownLength > BigInt(most)
      ? `want a mark of at most ${most} bytes: got ${ownLength}`
      : undefined;
  }
  if (ownLength > sectors * size)
    return `want at most the ${sectors * size} bytes of its sectors: got ${ownLength}`;
  if ((flags & BigInt(LOG_FLAGS.discard)) === 0n && sectors * size > BigInt(left))
    return `want its ${sectors} sectors inside the ${left} bytes that the log has left`;
  if ((sector + sectors) * size > BigInt(MAX_OFFSET))
    return `want a place below ${MAX_OFFSET}: got sector ${sector} and ${sectors} sectors`;
  return undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
