/**
 * CacheMetadata: the entries of a cache and the superblock, as they are stored, in an order that every crash survives (R3):
 *
 * 1. data into blocks that are durably free, and the entries for them, whose sequence is the superblock's: they are not there yet;
 * 2. flush; the superblock with the next sequence, one sector: all of them are there at once; flush;
 * 3. the entries that they replace are erased; those are free, and may be written to, only after the next flush.
 *
 * What is written back is erased the same way, after the origin was flushed. An entry that a crash left uncommitted is erased in step 1.
 * After a failure nobody knows what the cache shows, so that from then on nothing is changed any more, as Linux does.
 */
import {
  alignOut,
  endOf,
  MediaError,
  StorageError,
  type ByteRange,
  type MaybePromise,
} from "../../../base/index.ts";
import { thoroughMode, type Device } from "../../../device/index.ts";
import { inTurn } from "../../in-turn.ts";
import { after } from "../../after.ts";
import { rescued } from "./steps.ts";
import { ENTRY_BYTES, SUPERBLOCK_BYTES } from "./cache-format.ts";
import { EntryTable, type CacheShape } from "./entry-table.ts";

/** Entries that are written at once. */
const PIECE_ENTRIES = 65_536;

/** What metadata is on. */
export interface MetadataPlace {
  readonly cache: Device;
  /** First byte of the superblock. */
  readonly start: number;
}

/** What a loaded cache is. */
export interface LoadedCache {
  readonly table: EntryTable;
  readonly sequence: number;
  /** Whether there is a cache already; else the first write makes one. */
  readonly formatted: boolean;
  /** Entries that cannot be read. */
  readonly unreadable: number;
}

/** The metadata of one cache. */
export class CacheMetadata {
  readonly #place: MetadataPlace;
  #table: EntryTable;
  #sequence = 0;
  #formatted = false;
  #dirty = false;
  #failure: unknown;

  /** @param shape what it is until it is loaded, and after that where there is none yet */
  constructor(place: MetadataPlace, shape: CacheShape) {
    this.#place = place;
    this.#table = new EntryTable(shape);
  }

  get table(): EntryTable {
    return this.#table;
  }

  /** What the entries of the next commit carry. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Takes over what was loaded. */
  take(loaded: LoadedCache): void {
    this.#table = loaded.table;
    this.#sequence = loaded.sequence;
    this.#formatted = loaded.formatted;
  }

  /** First byte of an entry's block on the cache. */
  placeOf(entry: number): number {
    const { metadata, shape } = this.#table;
    return this.#place.start + metadata + entry * shape.blockSize;
  }

  /** The entry whose block holds a byte of the cache; -1 where none does. */
  entryAt(offset: number): number {
    const { metadata, shape } = this.#table;
    const entry = Math.floor((offset - this.#place.start - metadata) / shape.blockSize);
    return entry >= 0 && entry < shape.blocks ? entry : -1;
  }

  /** Whether no change of the metadata failed. */
  get isUsable(): boolean {
    return this.#failure === undefined;
  }

  /** @throws {StorageError} EIO if an earlier change of the metadata failed */
  checkUsable(): void {
    if (this.#failure === undefined) return;
    throw this.#failed(this.#failure, "an earlier change of its entries failed; open it again");
  }

  #failed(cause: unknown, wish: string): StorageError {
    const { name } = this.#place.cache.identity;
    return new StorageError("EIO", `Cannot write cache ${name}: ${wish}`, { path: name, cause });
  }

  /** Data was written to a block. */
  noteData(): void {
    this.#dirty = true;
  }

  /** Makes the cache, where there is none yet. */
  format(): MaybePromise<void> {
    if (this.#formatted) return undefined;
    const { blocks } = this.#table.shape;
    const steps: ByteRange[] = [];
    for (let entry = 0; entry < blocks; entry += PIECE_ENTRIES)
      steps.push(entryBytes(entry, Math.min(PIECE_ENTRIES, blocks - entry)));
    return this.#guarded(() =>
      after(
        inTurn(steps, (range) => this.#write(range)),
        () =>
          after(this.#flush(), () =>
            // one sector, last: before it there is no cache, after it a whole one
            after(this.#write({ offset: 0, length: SUPERBLOCK_BYTES }), () => {
              this.#formatted = true;
              return this.#flush();
            }),
          ),
      ),
    );
  }

  /** Makes all that was written durable, and writes again from memory what of the metadata went bad meanwhile. */
  commit(): MaybePromise<void> {
    return after(this.#healOwn(), () =>
      this.#table.uncommitted === 0 ? this.settle() : this.#commitNew(),
    );
  }

  #healOwn(): MaybePromise<void> {
    const { cache, start } = this.#place;
    if (!this.#formatted || cache.poison.empty) return undefined;
    const all = { offset: start, length: this.#table.metadata };
    return inTurn([...cache.poison.bad(all)], ({ offset, length }) =>
      rescued(
        () => this.#write({ offset: offset - start, length }),
        (error) => {
          // it stays bad, and whoever opens the cache next is told
          if (!(error instanceof MediaError)) throw error;
        },
      ),
    );
  }

  #commitNew(): MaybePromise<void> {
    const table = this.#table;
    return this.#guarded(() =>
      after(
        after(this.#eraseDoomed(), () => this.#writeEntries(table.pending())),
        () =>
          after(this.#flush(), () => {
            this.#sequence += 1;
            return after(this.#write({ offset: 0, length: SUPERBLOCK_BYTES }), () =>
              after(this.#flush(), () => this.#writeEntries(table.committed())),
            );
          }),
      ),
    );
  }

  #eraseDoomed(): MaybePromise<void> {
    const table = this.#table;
    const stretches = [...table.doomedStretches(PIECE_ENTRIES)];
    const done = inTurn(stretches, ({ first, count }) => this.#write(entryBytes(first, count)));
    return after(done, () => table.erased());
  }

  /**
   * Commits, and makes durable that no older copy of a block is left: what a commit replaced, and what a crash left. Only then may the newest
   * one be erased: the older would take its place.
   */
  commitAlone(): MaybePromise<void> {
    return after(this.commit(), () => {
      const table = this.#table;
      if (!table.hasDoomed) return this.settle();
      return this.#guarded(() => after(this.#eraseDoomed(), () => this.#flush()));
    });
  }

  /** Makes durable what was written in place or erased, without a commit. */
  settle(): MaybePromise<void> {
    return this.#dirty ? this.#guarded(() => this.#flush()) : undefined;
  }

  /** Erases entries whose blocks the origin has now, durably; after `commitAlone`. */
  release(entries: readonly number[]): MaybePromise<void> {
    this.#table.release(entries);
    return this.#guarded(() => after(this.#writeEntries(entries), () => this.#flush()));
  }

  #flush(): MaybePromise<void> {
    return after(this.#place.cache.flush(), () => {
      this.#dirty = false;
      this.#table.settled();
    });
  }

  /** Runs a change of the metadata; after a failure there are no more. */
  #guarded(change: () => MaybePromise<void>): MaybePromise<void> {
    this.checkUsable();
    return rescued(change, (error) => {
      this.#failure ??= error;
      if (!(error instanceof StorageError)) throw error;
      throw this.#failed(error, error.message);
    });
  }

  #writeEntries(entries: readonly number[]): MaybePromise<void> {
    const sorted = Float64Array.from(entries).sort();
    const runs: ByteRange[] = [];
    for (let at = 0; at < sorted.length;) {
      const first = sorted[at] as number;
      let count = 1;
      while (count < PIECE_ENTRIES && sorted[at + count] === first + count) count += 1;
      runs.push(entryBytes(first, count));
      at += count;
    }
    return inTurn(runs, (range) => this.#write(range));
  }

  /** Writes a range of the metadata from memory; whole clear units of it where something in them is bad, which heals those. */
  #write(range: ByteRange): MaybePromise<void> {
    const { cache, start } = this.#place;
    this.#dirty = true;
    const wanted = { offset: start + range.offset, length: range.length };
    const { offset, length } = cache.poison.empty ? wanted : this.#wholeUnits(wanted);
    const bytes = this.#table.encode({ offset: offset - start, length }, this.#sequence);
    return cache.write(bytes, offset, thoroughMode(cache));
  }

  #wholeUnits(range: ByteRange): ByteRange {
    const { cache, start } = this.#place;
    const units = alignOut(range, cache.capabilities.clearUnit);
    const offset = Math.max(start, units.offset);
    const end = Math.min(endOf(units), start + this.#table.metadata);
    const wide = { offset, length: end - offset };
    return cache.poison.bad(wide)[Symbol.iterator]().next().done === true ? range : wide;
  }
}

function entryBytes(first: number, count: number): ByteRange {
  return { offset: SUPERBLOCK_BYTES + first * ENTRY_BYTES, length: count * ENTRY_BYTES };
}
