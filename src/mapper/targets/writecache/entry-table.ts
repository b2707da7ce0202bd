/**
 * EntryTable: the entries of a cache in memory: what each block holds, which are free, and what their bytes on the cache are.
 *
 * An entry is in one state:
 *
 * - free: its block holds nothing, and the cache says so durably. Only such a block is ever written over.
 * - committed or uncommitted: its block is the newest data of a block of the origin. A crash takes the uncommitted ones.
 * - replaced: committed, and a newer copy is not: free once that is.
 * - doomed: the cache still shows it, and it must not: what a crash left uncommitted, and the older of two. Erased before the next commit, because that
 *   would make it true.
 * - leaving: erased, and not yet durably so.
 * - kept: an entry past the end of the target, one that cannot be read, one whose block takes no write. Never touched.
 */
import { assert, SECTOR, type ByteRange } from "../../../base/index.ts";
import { BlockIndex } from "./block-index.ts";
import {
  encodeSuperblock,
  ENTRY_BYTES,
  metadataBytes,
  SUPERBLOCK_BYTES,
  writeU64,
} from "./cache-format.ts";

const STATES = {
  free: 0,
  taken: 1,
  committed: 2,
  uncommitted: 3,
  replaced: 4,
  doomed: 5,
  leaving: 6,
  kept: 7,
} as const;

/** The shape of a cache. */
export interface CacheShape {
  /** Entries, and blocks. */
  readonly blocks: number;
  /** Bytes. */
  readonly blockSize: number;
}

/** The entries of one cache. */
export class EntryTable {
  readonly shape: CacheShape;
  /** Bytes before the first block. */
  readonly metadata: number;
  /** Which entry has the newest data of a block of the origin. */
  readonly index: BlockIndex = new BlockIndex();
  readonly #states: Uint8Array;
  /** Sector and sequence of each entry, plus one; 0 is all ones. */
  readonly #sectors: Float64Array;
  readonly #sequences: Float64Array;
  readonly #uncommitted = new Set<number>();
  readonly #replaced: number[] = [];
  #doomed = 0;
  #leaving = 0;
  #free: number;
  /** Where the next free entry is looked for: upwards, as Linux does on a disk. */
  #next = 0;

  constructor(shape: CacheShape) {
    this.shape = shape;
    this.metadata = metadataBytes(shape.blocks, shape.blockSize);
    this.#states = new Uint8Array(shape.blocks);
    this.#sectors = new Float64Array(shape.blocks);
    this.#sequences = new Float64Array(shape.blocks);
    this.#free = shape.blocks;
  }

  /** Blocks that hold nothing, those on their way there among them. */
  get unused(): number {
    return this.#free + this.#leaving;
  }

  /** Blocks written since the last commit. */
  get uncommitted(): number {
    return this.#uncommitted.size;
  }

  /** Whether the cache shows entries that a commit must not make true. */
  get hasDoomed(): boolean {
    return this.#doomed > 0;
  }

  /** Whether entries wait to be durably free. */
  get hasLeaving(): boolean {
    return this.#leaving > 0;
  }

  isCommitted(entry: number): boolean {
    return this.#states[entry] === STATES.committed;
  }

  isUncommitted(entry: number): boolean {
    return this.#states[entry] === STATES.uncommitted;
  }

  /** Sequence of an entry as it was loaded. */
  sequenceOf(entry: number): number {
    return (this.#sequences[entry] as number) - 1;
  }

  /** The block of the origin whose newest data an entry has; -1 where it has none. */
  blockOf(entry: number): number {
    if (!this.isCommitted(entry) && !this.isUncommitted(entry)) return -1;
    return (((this.#sectors[entry] as number) - 1) * SECTOR) / this.shape.blockSize;
  }

  /** Takes an entry over as the cache has it. @param state "committed": its block is in the index from then on */
  load(entry: number, at: { sector: number; sequence: number }, state: LoadedState): void {
    this.#note(entry, at.sector, at.sequence);
    this.#states[entry] = STATES[state];
    this.#free -= 1;
    if (state === "committed") this.index.set(this.blockOf(entry), entry);
    else if (state === "doomed") this.#doomed += 1;
  }

  /** Takes a loaded entry out again: there is a newer one. */
  doom(entry: number): void {
    this.index.delete(this.blockOf(entry));
    this.#states[entry] = STATES.doomed;
    this.#doomed += 1;
  }

  /** An entry to write to; -1 where none is free. */
  take(): number {
    if (this.#free === 0) return -1;
    let entry = this.#states.indexOf(STATES.free, this.#next);
    if (entry < 0) entry = this.#states.indexOf(STATES.free);
    this.#takeAt(entry);
    return entry;
  }

  /** Takes this entry. @returns whether it was free */
  takeThis(entry: number): boolean {
    if (entry >= this.shape.blocks || this.#states[entry] !== STATES.free) return false;
    this.#takeAt(entry);
    return true;
  }

  #takeAt(entry: number): void {
    this.#states[entry] = STATES.taken;
    this.#free -= 1;
    this.#next = entry + 1;
  }

  /** Gives back what was taken and not used; one whose block takes no write is kept out of use. */
  giveBack(entry: number, state: "free" | "kept"): void {
    assert(this.#states[entry] === STATES.taken, "only what was taken is given back");
    this.#states[entry] = STATES[state];
    if (state === "free") this.#free += 1;
    else this.#note(entry, Infinity, Infinity);
  }

  /** A taken entry has the newest data of a block from now on. */
  assign(entry: number, block: number, sequence: number): void {
    assert(this.#states[entry] === STATES.taken, "only what was taken is assigned");
    const old = this.index.get(block);
    if (old >= 0) {
      assert(this.isCommitted(old), "an uncommitted block is written in place");
      this.#states[old] = STATES.replaced;
      this.#replaced.push(old);
    }
    this.#note(entry, (block * this.shape.blockSize) / SECTOR, sequence);
    this.#states[entry] = STATES.uncommitted;
    this.#uncommitted.add(entry);
    this.index.set(block, entry);
  }

  #note(entry: number, sector: number, sequence: number): void {
    this.#sectors[entry] = sector === Infinity ? 0 : sector + 1;
    this.#sequences[entry] = sequence === Infinity ? 0 : sequence + 1;
  }

  /** Entries that a commit makes true. */
  pending(): number[] {
    return [...this.#uncommitted];
  }

  /** The stretches of entries that hold all doomed ones, at most `most` entries each: what else they hold is written as it is. */
  *doomedStretches(most: number): Generator<{ readonly first: number; readonly count: number }> {
    if (this.#doomed === 0) return;
    for (let first = this.#states.indexOf(STATES.doomed); first >= 0;) {
      const end = Math.min(first + most, this.shape.blocks);
      yield { first, count: this.#states.lastIndexOf(STATES.doomed, end - 1) + 1 - first };
      first = this.#states.indexOf(STATES.doomed, end);
    }
  }

  /** The doomed entries were erased. */
  erased(): void {
    this.#replace(STATES.doomed, STATES.leaving, this.#doomed);
    this.#leaving += this.#doomed;
    this.#doomed = 0;
  }

  /** Turns the entries in one state, so many there are, into another. */
  #replace(from: number, to: number, count: number): void {
    let entry = -1;
    for (let left = count; left > 0; left -= 1) {
      entry = this.#states.indexOf(from, entry + 1);
      this.#states[entry] = to;
    }
  }

  /** What was uncommitted is committed. @returns entries that were replaced: to be erased */
  committed(): number[] {
    for (const entry of this.#uncommitted) this.#states[entry] = STATES.committed;
    this.#uncommitted.clear();
    for (const entry of this.#replaced) this.#leave(entry);
    return this.#replaced.splice(0);
  }

  /** Committed entries whose blocks the origin has now: to be erased. */
  release(entries: readonly number[]): void {
    for (const entry of entries) {
      this.index.delete(this.blockOf(entry));
      this.#leave(entry);
    }
  }

  #leave(entry: number): void {
    this.#states[entry] = STATES.leaving;
    this.#leaving += 1;
  }

  /** What was erased is so durably. */
  settled(): void {
    this.#replace(STATES.leaving, STATES.free, this.#leaving);
    this.#free += this.#leaving;
    this.#leaving = 0;
  }

  /** The bytes of a range of the metadata, as they should be on the cache. */
  encode(range: ByteRange, sequence: number): Uint8Array {
    const first = Math.max(0, Math.floor((range.offset - SUPERBLOCK_BYTES) / ENTRY_BYTES));
    const end = Math.ceil((range.offset + range.length - SUPERBLOCK_BYTES) / ENTRY_BYTES);
    const last = Math.min(this.shape.blocks, end);
    // a whole number of entries, the superblock before them where it is asked for
    const base = range.offset < SUPERBLOCK_BYTES ? 0 : SUPERBLOCK_BYTES + first * ENTRY_BYTES;
    const bytes = new Uint8Array(range.offset + range.length - base + ENTRY_BYTES);
    if (base === 0)
      bytes.set(encodeSuperblock({ ...this.shape, sequence }).subarray(0, bytes.length));
    const view = new DataView(bytes.buffer);
    for (let entry = first; entry < last; entry += 1) {
      const at = SUPERBLOCK_BYTES + entry * ENTRY_BYTES - base;
      const shown = this.#isShown(entry);
      writeU64(view, at, shown ? ((this.#sectors[entry] as number) || Infinity) - 1 : Infinity);
      writeU64(
        view,
        at + 8,
        shown ? ((this.#sequences[entry] as number) || Infinity) - 1 : Infinity,
      );
    }
    return bytes.subarray(range.offset - base, range.offset - base + range.length);
  }

  /** Whether the cache should show an entry. */
  #isShown(entry: number): boolean {
    const state = this.#states[entry];
    return (
      state === STATES.committed ||
      state === STATES.uncommitted ||
      state === STATES.replaced ||
      (state === STATES.kept && this.#sequences[entry] !== 0)
    );
  }
}

/** What an entry of a cache is when it is loaded and not free. */
export type LoadedState = "committed" | "doomed" | "kept";
