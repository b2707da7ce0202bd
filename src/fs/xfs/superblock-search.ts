/**
 * Superblock search: the superblock that everything is read by, the first, or where that is bad the copy most others agree with.
 *
 * A copy is believed only where it stands: its own geometry must put the start of an AG at the very offset it was read from. Copies are as
 * old as the last mkfs or growfs, and some of them do not tell the root directory.
 */
import { endOf, StorageError } from "../../base/index.ts";
import type { BlockSource } from "../block-reader.ts";
import type { Problem } from "../file-map.ts";
import {
  decodeSuperblock,
  hasXfsMagic,
  statedSectorSize,
  SUPERBLOCK_SIZE,
  type Superblock,
} from "./superblock.ts";

const SWEEP_STEP = 2 ** 20;
/** Bytes that are swept where the copies of mkfs' usual geometries are absent. */
const SWEEP_MOST = 2 ** 30;
const ENOUGH_VOTES = 3;
/** Numbers of AGs that mkfs.xfs makes: 4, more on arrays, 2 when it is told so. */
const AG_COUNTS = [4, 2, 3, 8, 16, 32, 1];

interface Raw {
  readonly bytes: Uint8Array;
  readonly bad: boolean;
}

/** A whole sector at an offset, as large as it says itself; `undefined` past the end. */
async function readSector(source: BlockSource, offset: number): Promise<Raw | undefined> {
  const first = await readAt(source, offset, SUPERBLOCK_SIZE);
  if (first === undefined || first.bad || !hasXfsMagic(first.bytes)) return first;
  const size = statedSectorSize(first.bytes);
  if (size === SUPERBLOCK_SIZE) return first;
  const whole = await readAt(source, offset, size);
  return whole === undefined || whole.bad ? { ...first, bad: true } : whole;
}

async function readAt(
  source: BlockSource,
  offset: number,
  length: number,
): Promise<Raw | undefined> {
  if (offset + length > source.size) return undefined;
  const bytes = new Uint8Array(length);
  const { missing } = await source.read(bytes, offset);
  for (const range of missing) bytes.fill(0, range.offset - offset, endOf(range) - offset);
  return { bytes, bad: missing.length > 0 };
}

/**
 * Whether a whole XFS superblock is at the start of a volume. Then it is XFS, whatever backups of others are left on it: mke2fs clears these
 * bytes, and mkfs.xfs does not clear all that ext4 left.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function hasXfsSuperblock(source: BlockSource): Promise<boolean> {
  const raw = await readSector(source, 0);
  if (raw === undefined || raw.bad) return false;
  const result = decodeSuperblock(raw.bytes);
  return result.superblock !== undefined && result.checksumOk !== false;
}

/**
 * Whether a volume looks like XFS: the magic number and a possible geometry at its start; where these bytes are bad or blank, a copy.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function isXfs(source: BlockSource): Promise<boolean> {
  const raw = await readSector(source, 0);
  if (raw === undefined) return false;
  if (hasXfsMagic(raw.bytes)) {
    if (decodeSuperblock(raw.bytes).superblock !== undefined) return true;
    return (await searchCopies(source, true)) !== undefined;
  }
  const blank = raw.bytes.every((byte) => byte === 0);
  return blank && (await searchCopies(source, raw.bad)) !== undefined;
}

/**
 * The superblock to read by.
 *
 * @param report is told where it is not the first, or cannot be believed whole
 * @returns it, and whether it is the first, and whole: else what only the first tells, such as who keeps quotas, may be missing
 * @throws {StorageError} EBADMSG if there is none
 */
export async function findSuperblock(
  source: BlockSource,
  report: (problem: Problem) => void,
): Promise<{ readonly superblock: Superblock; readonly certain: boolean }> {
  const raw = await readSector(source, 0);
  if (raw === undefined)
    throw new StorageError(
      "EBADMSG",
      `Cannot read as XFS: ${source.size} bytes hold no superblock, want 512 or more`,
    );
  const result = decodeSuperblock(raw.bytes);
  const { superblock } = result;
  if (superblock !== undefined && !raw.bad && result.checksumOk !== false && !superblock.inProgress)
    return { superblock, certain: true };
  const why = raw.bad
    ? "cannot be read whole"
    : superblock === undefined
      ? `cannot be one: ${result.why}`
      : result.checksumOk === false
        ? "has a wrong checksum"
        : "says that mkfs was not finished";
  const range = { offset: 0, length: SUPERBLOCK_SIZE };
  const copy = await searchCopies(source, true, superblock);
  if (copy !== undefined) {
    report({
      range,
      message: `The superblock ${why}; a copy of it serves: its counters are unknown`,
    });
    return { superblock: copy, certain: false };
  }
  if (superblock !== undefined && !raw.bad) {
    report({
      range,
      message: `The superblock ${why}, and no copy is readable: it is used as far as it makes sense`,
    });
    return { superblock, certain: false };
  }
  throw new StorageError(
    "EBADMSG",
    `Cannot read as XFS: the superblock ${why}, and there is no copy of it`,
  );
}

/** What copies of one superblock have in common. */
function identity(superblock: Superblock): string {
  const { uuid, blockSize, agBlocks, agCount, blockCount, inodeSize, logStart } = superblock;
  return [uuid, blockSize, agBlocks, agCount, blockCount, inodeSize, logStart].join(" ");
}

/** The copy that most copies agree with; of equal ones the first that tells the root directory. */
async function searchCopies(
  source: BlockSource,
  worthSweeping: boolean,
  hint?: Superblock,
): Promise<Superblock | undefined> {
  const votes = new Map<string, Superblock[]>();
  const seen = new Set<number>();
  const vote = async (offset: number): Promise<Superblock | undefined> => {
    if (offset <= 0 || seen.has(offset)) return undefined;
    seen.add(offset);
    const copy = await copyAt(source, offset);
    if (copy === undefined) return undefined;
    const key = identity(copy);
    votes.set(key, [...(votes.get(key) ?? []), copy]);
    return copy;
  };
  if (hint !== undefined) await voteAll(hint, votes, vote);
  for (const offset of candidates(source.size)) {
    const copy = await vote(offset);
    if (copy !== undefined) await voteAll(copy, votes, vote);
    if (isSettled(votes)) break;
  }
  if (votes.size === 0 && worthSweeping) {
    const found = await sweep(source);
    if (found !== undefined) await voteAll(found, votes, vote);
  }
  let best: readonly Superblock[] = [];
  for (const agreeing of votes.values()) if (agreeing.length > best.length) best = agreeing;
  return best.find(({ rootInode }) => rootInode !== undefined) ?? best[0];
}

function isSettled(votes: ReadonlyMap<string, readonly Superblock[]>): boolean {
  return [...votes.values()].some(
    (agreeing) =>
      agreeing.length >= ENOUGH_VOTES && agreeing.some(({ rootInode }) => rootInode !== undefined),
  );
}

/** Looks at the other copies of a geometry: those that mkfs gives the root directory first. */
async function voteAll(
  { agCount, agBlocks, blockSize }: Superblock,
  votes: ReadonlyMap<string, readonly Superblock[]>,
  vote: (offset: number) => Promise<unknown>,
): Promise<void> {
  const middle = Math.floor(agCount / 2);
  for (const ag of new Set([agCount - 1, middle, middle + 1, 1, 2, 3, 4, 5, 6, 7])) {
    if (ag > 0 && ag < agCount) await vote(ag * agBlocks * blockSize);
    if (isSettled(votes)) return;
  }
}

/** The copy at an offset, if it says itself that one stands there. */
async function copyAt(source: BlockSource, offset: number): Promise<Superblock | undefined> {
  const raw = await readSector(source, offset);
  if (raw === undefined || raw.bad) return undefined;
  const result = decodeSuperblock(raw.bytes);
  if (result.superblock === undefined || result.checksumOk === false) return undefined;
  const { agBlocks, blockSize, agCount } = result.superblock;
  const ag = offset / (agBlocks * blockSize);
  return Number.isInteger(ag) && ag >= 1 && ag < agCount ? result.superblock : undefined;
}

/** Where the second AG begins on volumes that mkfs.xfs laid out by itself: AGs of equal size, of at most 1 TiB. */
function* candidates(size: number): Generator<number> {
  for (const count of AG_COUNTS) {
    for (const blockSize of [4096, 1024, 512, 2048, 65536, 8192, 16384, 32768]) {
      const blocks = Math.floor(size / blockSize);
      const length = Math.ceil(blocks / count);
      yield Math.min(length * blockSize, 2 ** 40 - blockSize);
      yield Math.floor(blocks / count) * blockSize;
    }
  }
  for (const log of [24, 25, 26, 27, 28, 29, 30]) yield 2 ** log;
}

async function sweep(source: BlockSource): Promise<Superblock | undefined> {
  const end = Math.min(source.size, SWEEP_MOST);
  for (let at = 0; at < end; at += SWEEP_STEP) {
    const raw = await readAt(source, at, Math.min(SWEEP_STEP, end - at));
    if (raw === undefined) return undefined;
    for (let place = 0; place + SUPERBLOCK_SIZE <= raw.bytes.length; place += SUPERBLOCK_SIZE) {
      if (
        raw.bytes[place] !== 0x58 ||
        raw.bytes[place + 1] !== 0x46 ||
        raw.bytes[place + 2] !== 0x53
      )
        continue;
      const copy = at + place > 0 ? await copyAt(source, at + place) : undefined;
      if (copy !== undefined) return copy;
    }
  }
  return undefined;
}
