/**
 * loadCache: a cache as it is found, read and checked as `writecache_ctr` and `writecache_resume` do, and refused in their words. Nothing is written:
 * what a crash left is set right in memory, and on the cache before the next commit.
 *
 * Hostile bytes cost bounded memory: what a superblock says is believed up to what the device can hold and BLOCKS_MAX, entries are read a
 * piece at a time, and a table in memory is pages that nobody touches until an entry is used.
 */
import { endOf, SECTOR, type BadRange, type MaybePromise } from "../../../base/index.ts";
import { thoroughMode, type Device } from "../../../device/index.ts";
import { after } from "../../after.ts";
import { whileTrue } from "./steps.ts";
import type { CacheArguments } from "./arguments.ts";
import type { LoadedCache } from "./cache-metadata.ts";
import {
  BLOCKS_MAX,
  blocksFor,
  decodeSuperblock,
  ENTRY_BYTES,
  MAGIC,
  metadataBytes,
  readU64,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_USED_BYTES,
  VERSION,
  type Superblock,
} from "./cache-format.ts";
import { EntryTable } from "./entry-table.ts";

/** Entries that are read at once. */
const PIECE_ENTRIES = 65_536;

/** Refuses the row that names the cache, with the wish: `TargetRow.fail`. */
type Fail = (wish: string) => never;

/** What a cache is loaded with. */
export interface LoadOptions {
  readonly args: CacheArguments;
  /** Bytes of the target. */
  readonly size: number;
  readonly fail: Fail;
}

/** Reads a cache. @throws {StorageError} EBADMSG by `fail` */
export function loadCache(options: LoadOptions): MaybePromise<LoadedCache> {
  const { args, fail } = options;
  const { cache, start } = args;
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  if (cache.size - start < SUPERBLOCK_BYTES)
    return fail(`Invalid device size: want room for a superblock behind sector ${start / SECTOR}`);
  return after(cache.read(bytes, start, thoroughMode(cache)), ({ missing }) => {
    if (missing.some(({ offset }) => offset < start + SUPERBLOCK_USED_BYTES))
      return fail(
        `Hardware memory error when reading superblock: want the first ${SUPERBLOCK_USED_BYTES} bytes of it readable, at sector ${start / SECTOR} of ${cache.identity.name}`,
      );
    const superblock = decodeSuperblock(bytes);
    const { magic, version } = superblock;
    if (magic === 0 && version === 0) return newCache(options);
    checkSuperblock(superblock, options);
    return new CacheLoader(superblock, options).load();
  });
}

/** The table of a cache that is made with the first write. */
function newCache({ args, fail }: LoadOptions): LoadedCache {
  const { cache, start, blockSize } = args;
  const blocks = blocksFor(cache.size - start, blockSize);
  if (blocks === 0)
    return fail(
      `Invalid device size: want room for a superblock, an entry and a block of ${blockSize} bytes: got ${cache.size - start} bytes`,
    );
  checkCount(blocks, fail);
  const table = new EntryTable({ blocks, blockSize });
  return { table, sequence: 0, formatted: false, unreadable: 0 };
}

function checkCount(blocks: number, fail: Fail): void {
  if (blocks > BLOCKS_MAX)
    fail(`Cannot allocate memory: want a cache of at most ${BLOCKS_MAX} blocks: got ${blocks}`);
}

function checkSuperblock(superblock: Superblock, { args, fail }: LoadOptions): void {
  const { magic, version, blockSize, blocks, sequence } = superblock;
  const hex = (value: number): string => `0x${value.toString(16)}`;
  if (magic !== MAGIC)
    fail(
      `Invalid magic in the superblock: want ${hex(MAGIC)}, or zeros for a new cache: got ${hex(magic)}`,
    );
  if (version !== VERSION)
    fail(`Invalid version in the superblock: want ${VERSION}: got ${version}`);
  if (blockSize !== args.blockSize)
    fail(`Block size does not match superblock: want ${blockSize}: got ${args.blockSize}`);
  if (blocks === Infinity || sequence === Infinity)
    fail(`Overflow in size calculation: want numbers below 2^53 in the superblock`);
  const room = args.cache.size - args.start;
  const wanted = metadataBytes(blocks, blockSize) + blocks * blockSize;
  if (wanted > room)
    fail(
      `Memory area is too small: want ${wanted} bytes for the ${blocks} blocks of the superblock: got ${room}`,
    );
  checkCount(blocks, fail);
}

/** Reads entries and sorts out which count. */
class CacheLoader {
  readonly #options: LoadOptions;
  readonly #superblock: Superblock;
  readonly #table: EntryTable;
  readonly #sectorsOfBlock: number;
  #unreadable = 0;
  #firstUnreadable = 0;

  constructor(superblock: Superblock, options: LoadOptions) {
    this.#options = options;
    this.#superblock = superblock;
    const { blocks, blockSize } = superblock;
    this.#table = new EntryTable({ blocks, blockSize });
    this.#sectorsOfBlock = blockSize / SECTOR;
  }

  load(): MaybePromise<LoadedCache> {
    const { blocks, sequence } = this.#superblock;
    const { cache, start } = this.#options.args;
    let entry = 0;
    const bytes = new Uint8Array(Math.min(blocks, PIECE_ENTRIES) * ENTRY_BYTES);
    const done = whileTrue(() => {
      const count = Math.min(PIECE_ENTRIES, blocks - entry);
      if (count === 0) return false;
      const piece = bytes.subarray(0, count * ENTRY_BYTES);
      const offset = start + SUPERBLOCK_BYTES + entry * ENTRY_BYTES;
      return after(cache.read(piece, offset, thoroughMode(cache)), ({ missing }) => {
        this.#take(piece, entry, unreadableIn(missing, offset));
        entry += count;
        return true;
      });
    });
    return after(done, () => {
      this.#checkReadable(cache);
      return {
        table: this.#table,
        sequence,
        formatted: true,
        unreadable: this.#unreadable,
      };
    });
  }

  #checkReadable(cache: Device): void {
    if (this.#unreadable === 0 || this.#options.args.originUnread) return;
    const entry = this.#firstUnreadable;
    const offset = this.#options.args.start + SUPERBLOCK_BYTES + entry * ENTRY_BYTES;
    this.#options.fail(
      `hardware memory error when reading metadata entry ${entry}: want every entry readable, or the word origin_unread, which gives up what no entry names: ` +
        `got ${this.#unreadable} unreadable of ${this.#superblock.blocks}, the first at byte ${offset} of ${cache.identity.name}`,
    );
  }

  /** @param unreadable whether an entry of the piece, counted in it, is not whole there */
  #take(piece: Uint8Array, first: number, unreadable: (index: number) => boolean): void {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
    const { sequence: next } = this.#superblock;
    for (let index = 0; index < piece.length / ENTRY_BYTES; index += 1) {
      const entry = first + index;
      if (unreadable(index)) {
        if (this.#unreadable === 0) this.#firstUnreadable = entry;
        this.#unreadable += 1;
        this.#table.load(entry, { sector: Infinity, sequence: Infinity }, "kept");
        continue;
      }
      const at = {
        sector: readU64(view, index * ENTRY_BYTES),
        sequence: readU64(view, index * ENTRY_BYTES + 8),
      };
      if (at.sequence < next) this.#takeCommitted(entry, at);
      // all ones: free
      else if (
        view.getInt32(index * ENTRY_BYTES + 8, true) !== -1 ||
        view.getInt32(index * ENTRY_BYTES + 12, true) !== -1
      )
        this.#table.load(entry, at, "doomed");
    }
  }

  #takeCommitted(entry: number, at: { readonly sector: number; readonly sequence: number }): void {
    const { size, fail } = this.#options;
    if (at.sector * SECTOR >= size) {
      // Linux drops what lies past the end of the origin; here it stays, for a longer table
      this.#table.load(entry, at, "kept");
      return;
    }
    if (at.sector % this.#sectorsOfBlock !== 0)
      fail(
        `entry ${entry} of the cache: want a sector that divides by ${this.#sectorsOfBlock}: got ${at.sector}`,
      );
    const old = this.#table.index.get(at.sector / this.#sectorsOfBlock);
    if (old >= 0) {
      const other = this.#table.sequenceOf(old);
      if (other === at.sequence)
        fail(
          `two identical entries, position ${entry}, sector ${at.sector}, sequence ${at.sequence}: want one of them newer`,
        );
      if (other > at.sequence) {
        this.#table.load(entry, at, "doomed");
        return;
      }
      this.#table.doom(old);
    }
    this.#table.load(entry, at, "committed");
  }
}

/** Which entries of a piece that was read at an offset miss a byte. They are asked for in ascending order. */
function unreadableIn(missing: readonly BadRange[], offset: number): (index: number) => boolean {
  let next = 0;
  return (index) => {
    const from = offset + index * ENTRY_BYTES;
    while (next < missing.length && endOf(missing[next] as BadRange) <= from) next += 1;
    const hole = missing[next];
    return hole !== undefined && hole.offset < from + ENTRY_BYTES;
  };
}
