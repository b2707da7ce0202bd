/**
 * store-format: the bytes of a sidecar, `IMAGE.theriac`, as pure functions. store-log.ts reads and writes files of it.
 *
 * All numbers are little-endian. Everything starts on a sector border, so that writing one frame touches no earlier one.
 *
 *     sector 0    preamble: magic[8] version[4] 0[4] salt[8] size-of-image[8] uuid[16] 0… crc32-of-the-508-before[4]
 *     sector 1…   frames, one for every durable step, written with one write and synced before the next is begun:
 *                 magic[4] header-crc[4] sequence[8] offset[8] salt[8] payload-length[4] payload-crc[4] payload, zeros
 *
 * A frame names its own place, its number and the salt of its file, so no stale or copied bytes pass for one.
 * Because a frame is synced before the next is written, a crash can hurt only the last: whatever is wrong before a
 * frame whose header is whole is corruption, not a crash (store-log.ts).
 *
 * A payload is records: type[4] length[4] body. An entry in a body is 16 bytes: offset[8], and length[8] whose upper 11 bits
 * are free (2^53) and carry a tag, as the kernel's badblocks keep their acknowledgement in one word.
 */
import { assert, MAX_OFFSET, roundUp, SECTOR } from "../base/index.ts";
import { crc32 } from "../os/index.ts";

/** First bytes of a sidecar. */
export const MAGIC: Uint8Array = Uint8Array.of(0x89, 0x54, 0x48, 0x45, 0x52, 0x49, 0x41, 0x43);
/** The version that this code writes, and the only one it reads. */
export const VERSION = 1;
/** Bytes of a frame before its payload. */
export const FRAME_HEADER = 40;
/** Largest payload, in bytes: what a hostile sidecar can make a reader allocate at once. */
export const MAX_PAYLOAD: number = 64 * 1024 * 1024;
/** Bytes of one tagged range. */
export const ENTRY = 16;

const FRAME_MAGIC = 0x4d524654;
const WORD = 2 ** 32;
/** Tag bits stand above the 53 of the length: from bit 21 of its upper word. */
const TAG_SHIFT = 21;

/** What the first sector says. */
export interface Preamble {
  readonly version: number;
  /** Random, new with every file: makes frames of another file invalid here. */
  readonly salt: bigint;
  /** Bytes of the image that the sidecar belongs to. */
  readonly size: number;
  /** In lower case with dashes. */
  readonly uuid: string;
}

/** What the first 40 bytes of a frame say, once their checksum is right. */
export interface FrameHeader {
  /** Where in the file it was written. */
  readonly offset: number;
  readonly sequence: number;
  readonly payloadLength: number;
  readonly payloadCrc: number;
}

/** A view for numbers over the bytes of an array. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Stores a whole number up to 2^53 in eight bytes. */
export function putNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % WORD, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

/** Reads eight bytes; `undefined` where they hold more than 2^53. */
export function getNumber(view: DataView, at: number): number | undefined {
  const value = view.getUint32(at + 4, true) * WORD + view.getUint32(at, true);
  return value <= MAX_OFFSET ? value : undefined;
}

/** The first sector of a sidecar. */
export function encodePreamble(preamble: Preamble): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = viewOf(bytes);
  bytes.set(MAGIC, 0);
  view.setUint32(8, preamble.version, true);
  view.setBigUint64(16, preamble.salt, true);
  putNumber(view, 24, preamble.size);
  bytes.set(Buffer.from(preamble.uuid.replaceAll("-", ""), "hex"), 32);
  view.setUint32(SECTOR - 4, crc32(bytes.subarray(0, SECTOR - 4)), true);
  return bytes;
}

/** Reads the first sector, or says in words what is wrong with it. */
export function decodePreamble(bytes: Uint8Array): Preamble | string {
  if (bytes.length < SECTOR) return `want a header of ${SECTOR} bytes: got ${bytes.length}`;
  const view = viewOf(bytes);
  if (MAGIC.some((byte, index) => bytes[index] !== byte))
    return "want the magic of a Theriac sidecar: got other bytes";
  const sum = crc32(bytes.subarray(0, SECTOR - 4));
  const stored = view.getUint32(SECTOR - 4, true);
  if (sum !== stored) return `want header checksum ${hex(stored)}: got ${hex(sum)}`;
  const version = view.getUint32(8, true);
  if (version !== VERSION)
    return `want version ${VERSION}: got ${version}; use the version of Theriac that wrote it`;
  const size = getNumber(view, 24);
  if (size === undefined) return "want a size of at most 2^53 bytes: got more";
  const digits = Buffer.from(bytes.subarray(32, 48)).toString("hex");
  const uuid = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return { version, salt: view.getBigUint64(16, true), size, uuid };
}

/** Where a frame stands: its file's salt, its byte offset there, its number. */
export interface FramePlace {
  readonly salt: bigint;
  readonly offset: number;
  readonly sequence: number;
}

/** Bytes that a frame with such a payload takes in the file: whole sectors. */
export function frameLength(payloadLength: number): number {
  return roundUp(FRAME_HEADER + payloadLength, SECTOR);
}

/** A whole frame around records. */
export function encodeFrame(place: FramePlace, records: readonly Uint8Array[]): Uint8Array {
  const payloadLength = records.reduce((sum, record) => sum + record.length, 0);
  assert(payloadLength <= MAX_PAYLOAD, "A frame holds at most MAX_PAYLOAD bytes");
  const bytes = new Uint8Array(frameLength(payloadLength));
  let at = FRAME_HEADER;
  for (const record of records) {
    bytes.set(record, at);
    at += record.length;
  }
  const view = viewOf(bytes);
  view.setUint32(0, FRAME_MAGIC, true);
  putNumber(view, 8, place.sequence);
  putNumber(view, 16, place.offset);
  view.setBigUint64(24, place.salt, true);
  view.setUint32(32, payloadLength, true);
  view.setUint32(36, crc32(bytes.subarray(FRAME_HEADER, FRAME_HEADER + payloadLength)), true);
  view.setUint32(4, crc32(bytes.subarray(8, FRAME_HEADER)), true);
  return bytes;
}

/**
 * Reads a frame's header; `undefined` where it is not a whole one of a file with this salt. Whether it stands where it says, and
 * whether its payload is whole, is not checked.
 */
export function decodeFrameHeader(bytes: Uint8Array, salt: bigint): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== FRAME_MAGIC) return undefined;
  if (view.getUint32(4, true) !== crc32(bytes.subarray(8, FRAME_HEADER))) return undefined;
  const sequence = getNumber(view, 8);
  const offset = getNumber(view, 16);
  if (sequence === undefined || offset === undefined) return undefined;
  if (view.getBigUint64(24, true) !== salt) return undefined;
  return {
    offset,
    sequence,
    payloadLength: view.getUint32(32, true),
    payloadCrc: view.getUint32(36, true),
  };
}

/** Whether a payload is what its header promised. */
export function payloadIsWhole(payload: Uint8Array, header: FrameHeader): boolean {
  return payload.length === header.payloadLength && crc32(payload) === header.payloadCrc;
}

/** A checksum as people read it. */
export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

/** A growing list of tagged ranges, in the form they have in a record. Touching ranges of one tag, noted in order, merge. */
export class EntryWriter {
  #bytes = new Uint8Array(64 * ENTRY);
  #view = viewOf(this.#bytes);
  #count = 0;
  #lastEnd = -1;
  #lastTag = -1;
  #lastLength = 0;

  /** Entries noted. */
  get count(): number {
    return this.#count;
  }

  /** The entries as bytes; a view that the next `add` makes stale. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * ENTRY);
  }

  /** Notes a range. `tag` is from 0 to 2047. */
  add(offset: number, length: number, tag: number): void {
    if (this.#lastEnd === offset && this.#lastTag === tag) {
      this.#lastLength += length;
      this.#lastEnd += length;
      this.#putLength((this.#count - 1) * ENTRY + 8, this.#lastLength, tag);
      return;
    }
    if ((this.#count + 1) * ENTRY > this.#bytes.length) this.#grow();
    const at = this.#count * ENTRY;
    putNumber(this.#view, at, offset);
    this.#putLength(at + 8, length, tag);
    this.#count += 1;
    this.#lastEnd = offset + length;
    this.#lastTag = tag;
    this.#lastLength = length;
  }

  /** Forgets all entries, and the memory of many. */
  clear(): void {
    this.#bytes = new Uint8Array(64 * ENTRY);
    this.#view = viewOf(this.#bytes);
    this.#count = 0;
    this.#lastEnd = -1;
  }

  #putLength(at: number, length: number, tag: number): void {
    this.#view.setUint32(at, length % WORD, true);
    this.#view.setUint32(at + 4, Math.floor(length / WORD) + tag * 2 ** TAG_SHIFT, true);
  }

  #grow(): void {
    const larger = new Uint8Array(this.#bytes.length * 2);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = viewOf(larger);
  }
}

/** A tagged range as it stands in a record. */
export interface Entry {
  readonly offset: number;
  readonly length: number;
  readonly tag: number;
}

/**
 * Reads tagged ranges one by one.
 *
 * @throws {RangeError} if one ends past `size`, or the bytes are no whole number of entries
 */
export function* decodeEntries(bytes: Uint8Array, size: number): Generator<Entry> {
  if (bytes.length % ENTRY !== 0)
    throw new RangeError(`want entries of ${ENTRY} bytes: got ${bytes.length} bytes`);
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; at += ENTRY) {
    const offset = getNumber(view, at);
    const high = view.getUint32(at + 12, true);
    const length = (high % 2 ** TAG_SHIFT) * WORD + view.getUint32(at + 8, true);
    if (offset === undefined || offset + length > size) {
      throw new RangeError(
        `want a range inside ${size} bytes: got offset ${offset ?? "above 2^53"}, length ${length}`,
      );
    }
    yield { offset, length, tag: high >>> TAG_SHIFT };
  }
}
