/**
 * mbr: the partition table of the PC, four entries in the first sector, and chains of more inside extended partitions, read as
 * Linux does (block/partitions/msdos.c).
 *
 * What can go wrong: the chain has a cycle, leaves the disk, or breaks where a link is poisoned; an entry is poisoned
 * and hides one partition; the sector is the boot sector of a file system that happens to end in 55 AA. A broken chain makes the
 * table incomplete; a file system's boot sector is no table.
 */
import { endOf, type ByteRange } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import { checkPartitions, mergeRanges } from "./check-partitions.ts";
import { readDisk, type DiskBytes } from "./disk-reader.ts";
import type { Partition, PartitionTable, TableProblem } from "./partition.ts";
import { hasSignature, isBootSectorOfFileSystem } from "./signature.ts";

const ENTRIES = 446;
const SIGNATURE = 510;
/** Linux stops after 100 links in a row without data, and has at most 256 partitions. */
const LINKS_MAX = 1024;
const EXTENDED: ReadonlySet<number> = new Set([0x05, 0x0f, 0x85]);
/** The type of the one entry that protects a GPT. */
const PROTECTIVE = 0xee;

/** One entry: sectors are relative to what the table's kind says. */
interface MbrEntry {
  readonly slot: number;
  readonly bootable: number;
  readonly type: number;
  readonly first: number;
  readonly count: number;
}

/** What the first sector says. */
export type FirstSector =
  /** Its end cannot be read: anything may be there. */
  | "unreadable"
  /** An MBR with an entry that protects a GPT. */
  | "protective"
  /** An MBR. */
  | "mbr"
  /** No table: empty, or the start of a file system. */
  | "none";

/** Tells what the first sector of a disk is. */
export function judgeFirstSector(sector: DiskBytes): FirstSector {
  if (sector.bytes.length < 512) return "none";
  if (!sector.has(SIGNATURE, 2)) return "unreadable";
  if (sector.view.getUint16(SIGNATURE, true) !== 0xaa55) return "none";
  const entries = readEntries(sector);
  if (entries.some((entry) => entry.type === PROTECTIVE)) return "protective";
  if (isBootSectorOfFileSystem(sector)) return "none";
  // as msdos_partition(): another value than these means code or data of a boot sector, not a table
  if (entries.some((entry) => entry.bootable !== 0 && entry.bootable !== 0x80)) return "none";
  if (entries.some((entry) => entry.count > 0 && entry.type !== 0)) return "mbr";
  return sector.has(ENTRIES, 64) ? "none" : "unreadable";
}

/**
 * Reads the MBR of a disk and its extended partitions. Call it where `judgeFirstSector` says "mbr".
 *
 * @throws {StorageError} if the device itself fails
 */
export async function readMbr(device: Device, sector: DiskBytes): Promise<PartitionTable> {
  const small = await readMbrIn(device, sector, 512);
  const large = await readMbrIn(device, sector, 4096);
  // an image does not tell its sector size: what stands where the partitions would begin does
  if (large.problems.length > small.problems.length || large.partitions.length === 0) return small;
  return (await countSignatures(device, large)) > (await countSignatures(device, small))
    ? large
    : small;
}

async function countSignatures(device: Device, table: PartitionTable): Promise<number> {
  let count = 0;
  for (const { offset } of table.partitions.slice(0, 16)) {
    if (await hasSignature(device, offset)) count += 1;
  }
  return count;
}

async function readMbrIn(
  device: Device,
  sector: DiskBytes,
  sectorSize: number,
): Promise<PartitionTable> {
  const signature = sector.has(440, 4) ? hex(sector.view.getUint32(440, true), 8) : "";
  const walk = new MbrWalk(device, sectorSize, signature);
  walk.missingEntries(sector);
  for (const entry of readEntries(sector)) {
    if (EXTENDED.has(entry.type)) await walk.extended(entry);
    else walk.add(entry, 0, entry.slot + 1);
  }
  const occupied = mergeRanges(walk.occupied, device.size);
  const checked = checkPartitions(walk.entries, device.size, occupied);
  return {
    kind: "mbr",
    sectorSize,
    uuid: signature,
    source: "primary",
    partitions: checked.partitions,
    occupied,
    complete: walk.complete && checked.problems.length === 0,
    problems: [...walk.problems, ...checked.problems],
  };
}

/** One walk over a table and its chains, in one sector size. */
class MbrWalk {
  readonly entries: Partition[] = [];
  readonly occupied: ByteRange[] = [];
  readonly problems: TableProblem[] = [];
  complete = true;
  readonly #device: Device;
  readonly #sectorSize: number;
  readonly #signature: string;
  readonly #visited = new Set<number>();
  #nextLogical = 5;

  constructor(device: Device, sectorSize: number, signature: string) {
    this.#device = device;
    this.#sectorSize = sectorSize;
    this.#signature = signature;
    this.occupied.push({ offset: 0, length: sectorSize });
  }

  /** Takes an entry into the list, its first sector counted from `base`. */
  add(entry: MbrEntry, base: number, index: number): void {
    if (entry.count === 0 || entry.type === 0) return;
    this.entries.push({
      index,
      offset: (base + entry.first) * this.#sectorSize,
      length: entry.count * this.#sectorSize,
      type: `0x${hex(entry.type, 2)}`,
      name: "",
      uuid: this.#signature === "" ? "" : `${this.#signature}-${hex(index, 2)}`,
    });
  }

  /** Notes entries of a table that are poisoned: each hides one partition. */
  missingEntries(sector: DiskBytes): void {
    for (let slot = 0; slot < 4; slot += 1) {
      const at = ENTRIES + slot * 16;
      if (sector.has(at, 16)) continue;
      this.#broken(
        { offset: sector.offset + at, length: 16 },
        `Entry ${slot + 1} of the partition table is poisoned`,
      );
    }
  }

  /** Follows the chain of an extended partition; each link holds a partition and the place of the next link. */
  async extended(container: MbrEntry): Promise<void> {
    const sectors = container.first + container.count;
    let link: number | undefined = container.first;
    while (link !== undefined) {
      const range = { offset: link * this.#sectorSize, length: this.#sectorSize };
      if (this.#visited.has(link))
        return this.#broken(range, "The chain of logical partitions has a cycle");
      if (this.#visited.size >= LINKS_MAX)
        return this.#broken(range, `The chain of logical partitions has over ${LINKS_MAX} links`);
      if (endOf(range) > this.#device.size)
        return this.#broken(range, "The chain of logical partitions leaves the disk");
      this.#visited.add(link);
      const sector = await readDisk(this.#device, range.offset, 512);
      if (!sector.has(SIGNATURE, 2))
        return this.#broken(range, "A link of the chain of logical partitions is poisoned");
      if (sector.view.getUint16(SIGNATURE, true) !== 0xaa55) {
        return this.#broken(range, "A link of the chain of logical partitions has no signature");
      }
      this.occupied.push(range);
      this.missingEntries(sector);
      link = this.#link(sector, link, { first: container.first, end: sectors });
    }
  }

  /** Takes the partitions of one link, and gives the place of the next one. */
  #link(
    sector: DiskBytes,
    base: number,
    bounds: { first: number; end: number },
  ): number | undefined {
    let next: number | undefined;
    for (const entry of readEntries(sector)) {
      if (entry.count === 0 || entry.type === 0) continue;
      if (EXTENDED.has(entry.type)) {
        next ??= bounds.first + entry.first;
        continue;
      }
      const start = base + entry.first;
      if (start + entry.count > bounds.end) {
        this.#broken(
          { offset: start * this.#sectorSize, length: entry.count * this.#sectorSize },
          `Logical partition ${this.#nextLogical} ends outside its extended partition: it is not used`,
        );
      } else this.add(entry, base, this.#nextLogical);
      this.#nextLogical += 1;
    }
    return next;
  }

  #broken(range: ByteRange, message: string): void {
    this.complete = false;
    this.problems.push({ range, message });
  }
}

/** The four entries of a sector; a poisoned one is left out. */
function readEntries(sector: DiskBytes): MbrEntry[] {
  return [0, 1, 2, 3].flatMap((slot) => {
    const at = ENTRIES + slot * 16;
    if (!sector.has(at, 16)) return [];
    const { view } = sector;
    return [
      {
        slot,
        bootable: view.getUint8(at),
        type: view.getUint8(at + 4),
        first: view.getUint32(at + 8, true),
        count: view.getUint32(at + 12, true),
      },
    ];
  });
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
