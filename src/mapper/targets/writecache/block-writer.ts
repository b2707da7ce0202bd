/**
 * BlockWriter: stores bytes of which none is known to be bad: in the cache, a block at a time, or at the origin where the cache has no room or is not wanted.
 *
 * - A block that the cache holds is written in place, as Linux does; in mode "p" only where it is not committed, else into a copy, so that a
 *   crash leaves the old block or the new one, and nothing between.
 * - Any other goes into a free block of the cache. A part of one takes the rest from the origin; where that cannot be read whole, the part goes to
 *   the origin itself, because a block of the cache must not hide what is bad behind bytes that nobody has.
 * - What a free block was before costs nothing: it is written in recovery, which heals it, and where it cannot be healed another one is taken.
 */
import { MediaError, type MaybePromise } from "../../../base/index.ts";
import { thoroughMode, type AccessMode, type Device } from "../../../device/index.ts";
import { after } from "../../after.ts";
import { rescued, whileTrue } from "./steps.ts";
import type { CacheArguments } from "./arguments.ts";
import type { CacheMetadata } from "./cache-metadata.ts";
import type { EntryTable } from "./entry-table.ts";
import { inTarget } from "./part-errors.ts";
import type { CachePlaces, Part } from "./places.ts";
import type { WriteBack } from "./write-back.ts";

/** Blocks that are uncommitted at most, whatever the row says. */
const COMMIT_MAX = 1_048_576;

/** What a writer works on. */
export interface WriterContext {
  readonly args: CacheArguments;
  readonly metadata: CacheMetadata;
  readonly places: CachePlaces;
  readonly writeBack: WriteBack;
  /** What the target is called. */
  readonly name: string;
}

/** Bytes to store in one place. */
interface Request {
  /** All that is left of the write from `at` on, in the part's place. */
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly part: Part;
  readonly mode: AccessMode;
}

/** The writer of one cache. */
export class BlockWriter {
  readonly #context: WriterContext;

  constructor(context: WriterContext) {
    this.#context = context;
  }

  /** Blocks after which a commit is due. */
  get #commitAfter(): number {
    return Math.min(COMMIT_MAX, Math.max(1, this.#context.args.autocommitBlocks));
  }

  get #table(): EntryTable {
    return this.#context.metadata.table;
  }

  /** Stores bytes. @throws {MediaError} if a device refuses */
  store(from: Uint8Array, offset: number, mode: AccessMode): MaybePromise<void> {
    const { places, metadata, writeBack } = this.#context;
    const end = offset + from.length;
    let at = offset;
    const done = whileTrue(() => {
      const part = places.at(at, end);
      const bytes = from.subarray(at - offset, at - offset + part.length);
      return after(this.#storePart({ bytes, at, part, mode }), (count) => {
        at += count;
        const full = this.#table.uncommitted >= this.#commitAfter;
        return after(full ? metadata.commit() : undefined, () => at < end);
      });
    });
    return after(done, () => writeBack.keepBelowWatermark());
  }

  /** Stores the beginning of a part. @returns bytes stored; 0 where the place has changed meanwhile */
  #storePart(request: Request): MaybePromise<number> {
    const { bytes, at, part } = request;
    const { args, writeBack } = this.#context;
    const { blockSize } = args;
    if (part.cached) {
      const entry = this.#table.index.get(Math.floor(at / blockSize));
      if (args.mode === "s") return this.#inPlace(request, bytes.length);
      const length = Math.min(bytes.length, blockSize - (at % blockSize));
      return this.#table.isCommitted(entry)
        ? this.#copyBlock(request, entry, length)
        : this.#inPlace(request, length);
    }
    if (writeBack.cleaner || args.metadataOnly) return this.#around(request, bytes.length);
    if (at % blockSize === 0 && bytes.length >= blockSize) return this.#wholeBlocks(request);
    return this.#mergedBlock(request, Math.min(bytes.length, blockSize - (at % blockSize)));
  }

  #inPlace(request: Request, length: number): MaybePromise<number> {
    this.#context.metadata.noteData();
    return this.#around(request, length);
  }

  /** Into the place that the bytes have. */
  #around(request: Request, length: number): MaybePromise<number> {
    const { bytes, part, mode } = request;
    const data = bytes.subarray(0, length);
    const write = (): MaybePromise<void> => part.device.write(data, part.offset, mode);
    return after(inTarget(request, this.#context.name, write), () => length);
  }

  /** Whole blocks that the cache does not hold: as many as find free blocks next to each other. */
  #wholeBlocks(request: Request): MaybePromise<number> {
    const { bytes, at } = request;
    const { blockSize } = this.#context.args;
    const wanted = Math.floor(bytes.length / blockSize);
    return after(this.#take(), (entry) => {
      if (entry < 0) return this.#around(request, wanted * blockSize);
      // a commit is due after so many; what a crash takes is no more than that
      const most = Math.min(wanted, this.#commitAfter);
      let count = 1;
      while (count < most && this.#table.takeThis(entry + count)) count += 1;
      return this.#fill(entry, at / blockSize, bytes.subarray(0, count * blockSize));
    });
  }

  /** A part of a block that the cache does not hold. */
  #mergedBlock(request: Request, length: number): MaybePromise<number> {
    const { bytes, at, part } = request;
    const { blockSize } = this.#context.args;
    const block = Math.floor(at / blockSize);
    return after(this.#take(), (entry) => {
      if (entry < 0) return this.#around(request, length);
      return after(this.#read(part.device, block * blockSize), (whole) => {
        if (whole === undefined) {
          this.#table.giveBack(entry, "free");
          return this.#around(request, length);
        }
        whole.set(bytes.subarray(0, length), at % blockSize);
        return after(this.#fill(entry, block, whole), (count) => (count === 0 ? 0 : length));
      });
    });
  }

  /** A block that the cache holds committed, in mode "p": into a copy. */
  #copyBlock(request: Request, old: number, length: number): MaybePromise<number> {
    const { bytes, at, part } = request;
    const { args, metadata } = this.#context;
    const block = Math.floor(at / args.blockSize);
    return after(this.#take(), (entry) => {
      // making room may have written this very block back
      if (this.#table.index.get(block) !== old) {
        if (entry >= 0) this.#table.giveBack(entry, "free");
        return 0;
      }
      if (entry < 0) return this.#inPlace(request, length);
      return after(this.#read(part.device, metadata.placeOf(old)), (whole) => {
        if (whole === undefined) {
          this.#table.giveBack(entry, "free");
          return this.#inPlace(request, length);
        }
        whole.set(bytes.subarray(0, length), at % args.blockSize);
        return after(this.#fill(entry, block, whole), (count) => (count === 0 ? 0 : length));
      });
    });
  }

  /** A block of a device; `undefined` where a byte of it is bad. */
  #read(device: Device, offset: number): MaybePromise<Uint8Array | undefined> {
    const whole = new Uint8Array(this.#context.args.blockSize);
    return after(device.read(whole, offset, thoroughMode(device)), ({ missing }) =>
      missing.length === 0 ? whole : undefined,
    );
  }

  /** Fills taken blocks of the cache, next to each other from `entry` on. @returns bytes stored; 0 where the blocks do not take them */
  #fill(entry: number, block: number, bytes: Uint8Array): MaybePromise<number> {
    const { args, metadata } = this.#context;
    const { cache, blockSize } = args;
    const count = bytes.length / blockSize;
    const giveBack = (state: "free" | "kept"): void => {
      for (let index = 0; index < count; index += 1) this.#table.giveBack(entry + index, state);
    };
    const write = (): MaybePromise<number> =>
      after(cache.write(bytes, metadata.placeOf(entry), thoroughMode(cache)), () => {
        metadata.noteData();
        for (let index = 0; index < count; index += 1)
          this.#table.assign(entry + index, block + index, metadata.sequence);
        return bytes.length;
      });
    return rescued(write, (error) => {
      const refused = error instanceof MediaError;
      giveBack(refused && count === 1 ? "kept" : "free");
      if (!refused) throw error;
      // one of them takes no write: which one, is found block by block
      return count === 1 ? 0 : this.#first(block, bytes.subarray(0, blockSize));
    });
  }

  #first(block: number, bytes: Uint8Array): MaybePromise<number> {
    return after(this.#take(), (entry) => (entry < 0 ? 0 : this.#fill(entry, block, bytes)));
  }

  /** A free block; -1 where there is none and none can be made. */
  #take(): MaybePromise<number> {
    const { metadata, writeBack } = this.#context;
    return after(metadata.format(), () => {
      const entry = this.#table.take();
      if (entry >= 0) return entry;
      return after(writeBack.makeRoom(), () => this.#table.take());
    });
  }
}
