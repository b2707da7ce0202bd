/**
 * Superblock search: the superblock that everything is read by, the primary, or where that is bad the backup most others agree with.
 *
 * A backup is believed only where it stands: it says its own group, block size and blocks a group, and these must give the very offset it was
 * read from. Backups are as old as the last resize or tune, so of them come geometry, features and identity; not times, nor whether
 * the journal is dirty.
 */
import { endOf, StorageError, type BadRange } from "../../base/index.ts";
import type { Problem } from "../file-map.ts";
import type { BlockSource } from "../block-reader.ts";
import { Geometry } from "./geometry.ts";
import {
  decodeSuperblock,
  ESSENTIAL_FIELDS,
  hasSuperblockMagic,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  type Superblock,
} from "./superblock.ts";

/** Backups looked at per block size, and votes that end the search. */
const GROUPS = [1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343, 2, 4, 6, 8];
const ENOUGH_VOTES = 3;
/** Where group 1 begins at the latest with blocks of 4 KiB: how far every KiB is looked at when nothing else found a backup. */
const SWEEP_END = 128 * 1024 * 1024 + 4096;
const SWEEP_STEP = 1024 * 1024;

interface RawSuperblock {
  readonly bytes: Uint8Array;
  readonly bad: readonly BadRange[];
}

async function readAt(source: BlockSource, offset: number): Promise<RawSuperblock | undefined> {
  if (offset + SUPERBLOCK_SIZE > source.size) return undefined;
  const bytes = new Uint8Array(SUPERBLOCK_SIZE);
  const { missing } = await source.read(bytes, offset);
  const bad = missing.map((range) => ({
    offset: range.offset - offset,
    length: range.length,
    state: range.state,
  }));
  for (const range of bad) bytes.fill(0, range.offset, endOf(range));
  return { bytes, bad };
}

/**
 * Whether a volume looks like ext2, ext3 or ext4: the magic number of the primary superblock, and a geometry that can be one; where that
 * is bad, a backup. Cheap: one read of 1 KiB, or some thirty where the primary is bad.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function isExt4(source: BlockSource): Promise<boolean> {
  const raw = await readAt(source, SUPERBLOCK_OFFSET);
  if (raw === undefined) return false;
  if (decodeSuperblock(raw.bytes, "primary").superblock !== undefined) return true;
  if (raw.bad.length === 0 && !hasSuperblockMagic(raw.bytes) && !isBlank(raw.bytes)) return false;
  const found = await searchBackups(source, undefined);
  return (found ?? (raw.bad.length > 0 ? await sweep(source) : undefined)) !== undefined;
}

/** All zeros: what trimming or clearing leaves of a superblock. */
function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/**
 * The superblock to read by.
 *
 * @param report is told where it is not the primary, or is one that cannot be checked
 * @throws {StorageError} EBADMSG if there is none
 */
export async function findSuperblock(
  source: BlockSource,
  report: (problem: Problem) => void,
): Promise<Superblock> {
  const raw = await readAt(source, SUPERBLOCK_OFFSET);
  if (raw === undefined)
    throw new StorageError(
      "EBADMSG",
      `Cannot read as ext4: ${source.size} bytes hold no superblock, want 2048 or more`,
    );
  const range = { offset: SUPERBLOCK_OFFSET, length: SUPERBLOCK_SIZE };
  const result = decodeSuperblock(raw.bytes, "primary");
  const whole = raw.bad.length === 0;
  if (result.superblock !== undefined && whole && result.checksumOk !== false)
    return result.superblock;
  const backup =
    (await searchBackups(source, result.superblock)) ?? (await sweepIfWorth(source, raw));
  const why = !whole
    ? "is partly unreadable"
    : result.superblock === undefined
      ? `cannot be one: ${result.why}`
      : "has a wrong checksum";
  if (backup !== undefined) {
    report({
      range,
      message: `The superblock ${why}; the backup in group ${backup.blockGroup} serves: times and mount state are unknown`,
    });
    return backup;
  }
  if (result.superblock !== undefined && (whole || essentialsReadable(raw.bad))) {
    report({
      range,
      message: `The superblock ${why}, and no backup is readable: it is used as far as it makes sense`,
    });
    return result.superblock;
  }
  const detail = result.superblock === undefined && whole ? result.why : why;
  throw new StorageError(
    "EBADMSG",
    `Cannot read as ext4: the superblock at byte 1024 serves no reading (${detail}), and there is no backup of it`,
  );
}

function essentialsReadable(bad: readonly BadRange[]): boolean {
  return ESSENTIAL_FIELDS.every(([start, end]) =>
    bad.every((range) => endOf(range) <= start || range.offset >= end),
  );
}

/** What copies of one superblock have in common however old they are. */
function identity(superblock: Superblock): string {
  const {
    uuid,
    blockSize,
    blocksPerGroup,
    inodesPerGroup,
    inodeSize,
    descriptorSize,
    clusterSize,
  } = superblock;
  return [
    uuid,
    blockSize,
    blocksPerGroup,
    inodesPerGroup,
    inodeSize,
    descriptorSize,
    clusterSize,
  ].join(" ");
}

/** The readable backup that most backups agree with; of equal ones the first. */
async function searchBackups(
  source: BlockSource,
  hint: Superblock | undefined,
): Promise<Superblock | undefined> {
  const votes = new Map<string, Superblock[]>();
  for (const { offset, group } of candidates(source, hint)) {
    const raw = await readAt(source, offset);
    if (raw === undefined || raw.bad.length > 0) continue;
    const superblock = backupAt(raw.bytes, offset);
    if (superblock === undefined || superblock.blockGroup !== group % 65536) continue;
    const key = identity(superblock);
    const agreeing = votes.get(key) ?? [];
    agreeing.push(superblock);
    votes.set(key, agreeing);
    if (agreeing.length >= ENOUGH_VOTES) break;
  }
  let best: Superblock[] = [];
  for (const agreeing of votes.values()) if (agreeing.length > best.length) best = agreeing;
  return best[0];
}

/** The backup that 1024 bytes are, if they say themselves that they stand where they were read. */
function backupAt(bytes: Uint8Array, offset: number): Superblock | undefined {
  if (!hasSuperblockMagic(bytes)) return undefined;
  const result = decodeSuperblock(bytes, "backup");
  if (result.superblock === undefined || result.checksumOk === false) return undefined;
  const { superblock } = result;
  const geometry = new Geometry(superblock);
  const group = geometry.groupOf(Math.floor(offset / superblock.blockSize));
  // The field has 16 bits; the kernel compares no more.
  if (group < 1 || superblock.blockGroup !== group % 65536 || !geometry.hasSuper(group))
    return undefined;
  return geometry.superblockOf(group) * superblock.blockSize === offset ? superblock : undefined;
}

/** A sweep is for volumes that were one: not for what never had a magic number in readable bytes. */
async function sweepIfWorth(
  source: BlockSource,
  raw: RawSuperblock,
): Promise<Superblock | undefined> {
  const worth = raw.bad.length > 0 || hasSuperblockMagic(raw.bytes) || isBlank(raw.bytes);
  return worth ? sweep(source) : undefined;
}

/** Looks at every KiB of the first 128 MiB: finds the backup of group 1 whatever the size of a group (mke2fs -g). */
async function sweep(source: BlockSource): Promise<Superblock | undefined> {
  const end = Math.min(source.size, SWEEP_END);
  const bytes = new Uint8Array(SWEEP_STEP);
  for (let at = 0; at < end; at += SWEEP_STEP) {
    const part = bytes.subarray(0, Math.min(SWEEP_STEP, end - at));
    const { missing } = await source.read(part, at);
    for (const range of missing) part.fill(0, range.offset - at, endOf(range) - at);
    for (let place = 0; place + SUPERBLOCK_SIZE <= part.length; place += SUPERBLOCK_SIZE) {
      if (part[place + 0x38] !== 0x53 || part[place + 0x39] !== 0xef) continue;
      const holed = missing.some(
        (range) => range.offset < at + place + SUPERBLOCK_SIZE && endOf(range) > at + place,
      );
      const superblock = holed
        ? undefined
        : backupAt(part.subarray(place, place + SUPERBLOCK_SIZE), at + place);
      if (superblock !== undefined) return superblock;
    }
  }
  return undefined;
}

/** UUID of the external journal that a device is; `undefined` where it is none. Such a device is no volume and has no owners but the journal. */
export async function externalJournalUuid(source: BlockSource): Promise<string | undefined> {
  const raw = await readAt(source, SUPERBLOCK_OFFSET);
  if (raw === undefined || raw.bad.length > 0) return undefined;
  const result = decodeSuperblock(raw.bytes, "primary");
  if (result.superblock !== undefined) return undefined;
  return /external journal of another volume, UUID (\S+)/.exec(result.why)?.[1];
}

/** Where backups can be: by what the primary still says, then by mke2fs's own sizes for every block size. */
function* candidates(
  source: BlockSource,
  hint: Superblock | undefined,
): Generator<{ offset: number; group: number }> {
  const seen = new Set<number>();
  const groupsOf = function* (
    blockSize: number,
    blocksPerGroup: number,
    first: number,
  ): Generator<{ offset: number; group: number }> {
    const last = Math.ceil(source.size / blockSize / blocksPerGroup) - 1;
    for (const group of new Set([...GROUPS, last, last - 1, ...(hint?.backupGroups ?? [])])) {
      const offset = (first + group * blocksPerGroup) * blockSize;
      if (group < 1 || seen.has(offset) || offset + SUPERBLOCK_SIZE > source.size) continue;
      seen.add(offset);
      yield { offset, group };
    }
  };
  if (hint !== undefined) yield* groupsOf(hint.blockSize, hint.blocksPerGroup, hint.firstDataBlock);
  for (const blockSize of [4096, 1024, 2048, 65536, 8192, 16384, 32768]) {
    yield* groupsOf(blockSize, blockSize * 8, blockSize === 1024 ? 1 : 0);
  }
  // bigalloc: the bitmap counts clusters, so a group has more blocks; 16 blocks a cluster is mke2fs's own choice
  for (const blockSize of [4096, 1024, 2048]) {
    for (const ratio of [16, 2, 4, 8, 32, 64]) yield* groupsOf(blockSize, blockSize * 8 * ratio, 0);
  }
}
