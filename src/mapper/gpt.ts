/**
 * gpt: the GUID partition table, UEFI specification 2.10 section 5.3, checked as Linux does (block/partitions/efi.c).
 *
 * The table stands twice: behind the first sector, and at the end of the disk. Each copy is a header with a checksum of itself and
 * one of its array of entries. What can go wrong: a header is poisoned or wrong; an array is; each array misses
 * other sectors. The first two are answered from the other copy. In the third the readable sectors of both are joined, and the
 * checksum proves the result. Where nothing proves an array, nothing of it is used, and the table says that it is incomplete.
 * Sizes in the header are bounded before they are believed: an array is at most 1 MiB.
 */
import { intersect, roundUp, type ByteRange } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import { crc32 } from "../os/index.ts";
import { checkPartitions, mergeRanges } from "./check-partitions.ts";
import { DiskBytes, readDisk } from "./disk-reader.ts";
import type { Partition, PartitionTable, TableProblem } from "./partition.ts";

const HEADER_MIN = 92;
const ENTRY_MIN = 128;
const ENTRIES_MAX = 1024 * 1024;
const NO_TYPE = "00000000-0000-0000-0000-000000000000";

/** A header whose checksum is right. Numbers with `lba` are sectors of `sectorSize`. */
interface GptHeader {
  readonly copy: "primary" | "backup";
  readonly sectorSize: number;
  readonly lba: number;
  readonly alternateLba: number;
  readonly entriesLba: number;
  readonly entryCount: number;
  readonly entrySize: number;
  readonly entriesCrc: number;
  readonly uuid: string;
  /** First 92 bytes without what differs between the copies, to tell whether both say the same. */
  readonly common: string;
}

/** The two headers as far as they are there. */
interface Headers {
  readonly primary: GptHeader | undefined;
  readonly backup: GptHeader | undefined;
}

/**
 * Reads the GPT of a disk.
 *
 * @returns `undefined` where neither copy has a right header in either sector size
 * @throws {StorageError} if the device itself fails
 */
export async function readGpt(device: Device): Promise<PartitionTable | undefined> {
  const problems: TableProblem[] = [];
  const headers = await findHeaders(device, problems);
  const best = headers.primary ?? headers.backup;
  if (best === undefined) return undefined;
  const { entries, source } = await readEntries(device, headers, problems);
  const occupied = mergeRanges(occupiedBy(device, headers), device.size);
  const checked = checkPartitions(
    entries === undefined ? [] : parseEntries(entries, best),
    device.size,
    occupied,
  );
  return {
    kind: "gpt",
    sectorSize: best.sectorSize,
    uuid: best.uuid,
    source,
    partitions: checked.partitions,
    occupied,
    complete: entries !== undefined && checked.problems.length === 0,
    problems: [...problems, ...checked.problems],
  };
}

/** Looks for the primary header in both sector sizes, then for the backup where the primary says, or at the end. */
async function findHeaders(device: Device, problems: TableProblem[]): Promise<Headers> {
  const found: { problem: TableProblem; sectorSize: number }[] = [];
  for (const sectorSize of [512, 4096]) {
    const own: TableProblem[] = [];
    const primary = await readHeader(device, { copy: "primary", lba: 1, sectorSize }, own);
    found.push(...own.map((problem) => ({ problem, sectorSize })));
    if (primary === undefined) continue;
    const backup = await readHeader(
      device,
      { copy: "backup", lba: primary.alternateLba, sectorSize },
      problems,
    );
    if (backup === undefined || backup.common === primary.common) return { primary, backup };
    problems.push({ message: "The backup of the GPT is of another table: it is not used" });
    return { primary, backup: undefined };
  }
  for (const sectorSize of [512, 4096]) {
    const lba = Math.floor(device.size / sectorSize) - 1;
    const backup = await readHeader(device, { copy: "backup", lba, sectorSize }, []);
    if (backup === undefined) continue;
    const told = found.filter((item) => item.sectorSize === sectorSize).map((item) => item.problem);
    problems.push(...told, {
      message: "The primary header of the GPT cannot be used: its backup is",
    });
    return { primary: undefined, backup };
  }
  return { primary: undefined, backup: undefined };
}

/** Where a header is looked for. */
interface HeaderPlace {
  readonly copy: "primary" | "backup";
  readonly lba: number;
  readonly sectorSize: number;
}

/** One header, checked as `is_gpt_valid` does; `undefined` and a problem where it cannot be used. */
async function readHeader(
  device: Device,
  place: HeaderPlace,
  problems: TableProblem[],
): Promise<GptHeader | undefined> {
  const { copy, lba, sectorSize } = place;
  const offset = lba * sectorSize;
  const range = { offset, length: sectorSize };
  const wrong = (why: string): undefined => {
    problems.push({ range, message: `The ${copy} header of the GPT ${why}` });
    return undefined;
  };
  if (lba < 1 || !(offset + sectorSize <= device.size)) {
    problems.push({ message: `The ${copy} header of the GPT is past the end of the disk` });
    return undefined;
  }
  const sector = await readDisk(device, offset, sectorSize);
  if (!sector.has(0, HEADER_MIN)) return wrong("is poisoned");
  if (sector.text(0, 8) !== "EFI PART")
    return copy === "backup" ? wrong("is not where it should be") : undefined;
  const size = sector.view.getUint32(12, true);
  if (size < HEADER_MIN || size > sectorSize) return wrong(`says that it has ${size} bytes`);
  if (!sector.has(0, size)) return wrong("is poisoned");
  const bytes = sector.bytes.slice(0, size);
  bytes.fill(0, 16, 20);
  if (crc32(bytes) !== sector.view.getUint32(16, true)) return wrong("does not match its checksum");
  if (sector.lba(24) !== lba) return wrong("belongs to another place");
  return parseHeader(sector, place);
}

function parseHeader(sector: DiskBytes, place: HeaderPlace): GptHeader {
  const { view } = sector;
  return {
    ...place,
    alternateLba: sector.lba(32),
    entriesLba: sector.lba(72),
    entryCount: view.getUint32(80, true),
    entrySize: view.getUint32(84, true),
    entriesCrc: view.getUint32(88, true),
    uuid: guid(sector, 56),
    common: [...sector.bytes.subarray(40, 72), ...sector.bytes.subarray(80, 92)].join(),
  };
}

/** The array of entries: of one copy where its checksum is right, of both joined where only that is. */
async function readEntries(
  device: Device,
  headers: Headers,
  problems: TableProblem[],
): Promise<{
  readonly entries: DiskBytes | undefined;
  readonly source: "primary" | "backup" | "both";
}> {
  const arrays: DiskBytes[] = [];
  for (const header of [headers.primary, headers.backup]) {
    const array = header === undefined ? undefined : await readArray(device, header, problems);
    if (header === undefined || array === undefined) continue;
    if (crc32(array.bytes) === header.entriesCrc && array.missing.length === 0) {
      return { entries: array, source: header.copy };
    }
    const why = array.missing.length > 0 ? "are poisoned" : "do not match their checksum";
    const range = { offset: array.offset, length: array.bytes.length };
    problems.push({ range, message: `The ${header.copy} entries of the GPT ${why}` });
    arrays.push(array);
  }
  const source = headers.primary === undefined ? "backup" : "primary";
  const [primary, backup] = arrays;
  if (primary !== undefined && backup !== undefined && headers.primary !== undefined) {
    const joined = join(primary, backup);
    if (joined !== undefined && crc32(joined.bytes) === headers.primary.entriesCrc) {
      return { entries: joined, source: "both" };
    }
  }
  problems.push({ message: "No copy of the GPT's entries can be used: partitions are unknown" });
  return { entries: undefined, source };
}

async function readArray(
  device: Device,
  header: GptHeader,
  problems: TableProblem[],
): Promise<DiskBytes | undefined> {
  const { copy, entrySize, entryCount, entriesLba, sectorSize } = header;
  const length = entrySize * entryCount;
  const offset = entriesLba * sectorSize;
  const sized = entrySize >= ENTRY_MIN && entrySize % ENTRY_MIN === 0 && length <= ENTRIES_MAX;
  if (sized && offset >= sectorSize && offset + length <= device.size)
    return readDisk(device, offset, length);
  const what = `${entryCount} entries of ${entrySize} bytes at sector ${entriesLba}`;
  problems.push({ message: `The ${copy} header of the GPT names ${what}: that cannot be` });
  return undefined;
}

/** The first array with what it misses taken from the second; `undefined` where both miss the same byte. */
function join(one: DiskBytes, other: DiskBytes): DiskBytes | undefined {
  const bytes = one.bytes.slice();
  if (other.bytes.length !== bytes.length) return undefined;
  for (const hole of one.missing) {
    const at = hole.offset - one.offset;
    if (!other.has(at, hole.length)) return undefined;
    bytes.set(other.bytes.subarray(at, at + hole.length), at);
  }
  return new DiskBytes(one.offset, bytes, []);
}

function parseEntries(entries: DiskBytes, header: GptHeader): Partition[] {
  const partitions: Partition[] = [];
  for (let index = 0; index < header.entryCount; index += 1) {
    const at = index * header.entrySize;
    const type = guid(entries, at);
    if (type === NO_TYPE) continue;
    const first = entries.lba(at + 32);
    const last = entries.lba(at + 40);
    if (first > last) continue; // as Linux' is_pte_valid: an entry that ends before it begins is no partition
    partitions.push({
      index: index + 1,
      offset: first * header.sectorSize,
      length: (last - first + 1) * header.sectorSize,
      type,
      name: entryName(entries, at + 56),
      uuid: guid(entries, at + 16),
    });
  }
  return partitions;
}

/** 36 characters of UTF-16, ended by a zero where shorter. */
function entryName(entries: DiskBytes, at: number): string {
  const text = new TextDecoder("utf-16le").decode(entries.bytes.subarray(at, at + 72));
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

/** A GUID as text: its first three fields are little-endian (UEFI appendix A). */
function guid(from: DiskBytes, at: number): string {
  const hex = (offset: number, length: number): string =>
    Buffer.from(from.bytes.subarray(at + offset, at + offset + length)).toString("hex");
  const reversed = (offset: number, length: number): string =>
    Buffer.from(from.bytes.slice(at + offset, at + offset + length).reverse()).toString("hex");
  return [reversed(0, 4), reversed(4, 2), reversed(6, 2), hex(8, 2), hex(10, 6)].join("-");
}

/** The protective MBR, both headers where they should be, and both arrays. */
function* occupiedBy(device: Device, headers: Headers): Generator<ByteRange> {
  const { primary, backup } = headers;
  const known = primary ?? backup;
  if (known === undefined) return;
  const { sectorSize, entrySize, entryCount } = known;
  const length = Math.min(roundUp(entrySize * entryCount, sectorSize), ENTRIES_MAX);
  const disk = { offset: 0, length: device.size };
  const places = [
    { offset: 0, length: sectorSize * 2 },
    { offset: (primary?.entriesLba ?? 2) * sectorSize, length },
    { offset: (backup?.lba ?? known.alternateLba) * sectorSize, length: sectorSize },
    ...(backup === undefined ? [] : [{ offset: backup.entriesLba * sectorSize, length }]),
  ];
  for (const place of places) {
    const inside = Number.isSafeInteger(place.offset) ? intersect(place, disk) : undefined;
    if (inside !== undefined) yield inside;
  }
}
