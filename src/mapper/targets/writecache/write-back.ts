/**
 * WriteBack: blocks go from the cache to the origin, in the order of their addresses, from where the last time ended: commit; the origin's write
 * and flush; only then are the entries erased. A block with a bad byte stays in the cache: its origin is older, and must not show (R1). So does one
 * whose origin takes no write.
 */
import { MediaError, type MaybePromise } from "../../../base/index.ts";
import { thoroughMode, type HealWrite } from "../../../device/index.ts";
import { inTurn } from "../../in-turn.ts";
import { after } from "../../after.ts";
import { rescued, whileTrue } from "./steps.ts";
import type { CacheArguments } from "./arguments.ts";
import type { CacheMetadata } from "./cache-metadata.ts";
import type { CachePlaces } from "./places.ts";

/** Blocks that go together at most. */
const BATCH = 256;

/** What is written back, and from where. */
export interface WriteBackContext {
  readonly args: CacheArguments;
  readonly metadata: CacheMetadata;
  readonly places: CachePlaces;
  /** Bytes that are kept elsewhere from now on: a read under way is made again. */
  readonly touch: (offset: number, length: number) => void;
}

/** Consecutive blocks. */
interface Run {
  readonly block: number;
  readonly count: number;
}

/** Writes back the blocks of one cache. */
export class WriteBack {
  readonly #context: WriteBackContext;
  /** Whether the cache is to be emptied, and takes nothing new. */
  cleaner: boolean;
  #cursor = 0;

  constructor(context: WriteBackContext) {
    this.#context = context;
    this.cleaner = context.args.cleaner;
  }

  /** Unused blocks at or below which a watermark is reached. */
  #unusedAt(watermark: number): number {
    const { blocks } = this.#context.metadata.table.shape;
    return this.cleaner ? blocks : Math.floor((blocks * (100 - watermark) + 50) / 100);
  }

  /** Writes back down to the low watermark, where the high one is reached. */
  keepBelowWatermark(): MaybePromise<void> {
    const { args, metadata } = this.#context;
    if (metadata.table.unused > this.#unusedAt(args.highWatermark)) return undefined;
    if (metadata.table.index.size === 0) return undefined;
    return this.#until(() => this.#unusedAt(args.lowWatermark) + 1 - metadata.table.unused);
  }

  /** Makes at the least one block free, if any can be. */
  makeRoom(): MaybePromise<void> {
    const { metadata } = this.#context;
    if (metadata.table.hasLeaving) return metadata.settle();
    return this.#until(() => 1 - metadata.table.unused);
  }

  /** Writes back all that can be. */
  all(): MaybePromise<void> {
    return this.#until(() => Infinity);
  }

  /** @param wanted blocks that are still to go; no more where it is 0 or less */
  #until(wanted: () => number): MaybePromise<void> {
    const { metadata } = this.#context;
    const { index } = metadata.table;
    let left = index.size;
    return after(metadata.commitAlone(), () =>
      whileTrue(() => {
        const runs = this.#nextRuns(Math.min(BATCH, left, wanted()));
        if (runs.length === 0) return false;
        for (const { count } of runs) left -= count;
        return after(this.#writeRuns(runs), () => true);
      }),
    );
  }

  /** The next blocks by address, in runs. */
  #nextRuns(most: number): Run[] {
    const { index } = this.#context.metadata.table;
    const runs: Run[] = [];
    let block = index.from(this.#cursor);
    if (block === Infinity) block = index.from(0);
    for (let left = most; left > 0 && block !== Infinity;) {
      let count = 1;
      while (count < left && index.get(block + count) >= 0) count += 1;
      runs.push({ block, count });
      left -= count;
      this.#cursor = block + count;
      block = index.from(this.#cursor);
    }
    return runs;
  }

  #writeRuns(runs: readonly Run[]): MaybePromise<void> {
    const { args, metadata, touch } = this.#context;
    const { blockSize } = args;
    const written: number[] = [];
    const writes = inTurn(runs, (run) =>
      after(this.#goodParts(run), (parts) =>
        inTurn(parts, (part) => this.#writeOrigin(part, written)),
      ),
    );
    return after(writes, () => {
      if (written.length === 0) return undefined;
      return after(args.origin.flush(), () => {
        for (const block of written) touch(block * blockSize, blockSize);
        return metadata.release(written.map((block) => metadata.table.index.get(block)));
      });
    });
  }

  /** The blocks of a run of which no byte is bad, as few writes as they are. */
  #goodParts({ block, count }: Run): MaybePromise<HealWrite[]> {
    const { places, args } = this.#context;
    const { cache, blockSize } = args;
    const offset = block * blockSize;
    const data = new Uint8Array(count * blockSize);
    const isBad = new Uint8Array(count);
    let done = 0;
    const reads = inTurn(places.parts({ offset, length: data.length }), (part) => {
      const into = data.subarray(done, done + part.length);
      const shift = done - part.offset;
      done += part.length;
      return after(cache.read(into, part.offset, thoroughMode(cache)), ({ missing }) => {
        for (const hole of missing) {
          const first = Math.floor((hole.offset + shift) / blockSize);
          isBad.fill(1, first, Math.ceil((hole.offset + hole.length + shift) / blockSize));
        }
      });
    });
    return after(reads, () => {
      const parts: HealWrite[] = [];
      for (let at = isBad.indexOf(0); at >= 0;) {
        const bad = isBad.indexOf(1, at);
        const end = bad < 0 ? count : bad;
        parts.push({
          offset: offset + at * blockSize,
          data: data.subarray(at * blockSize, end * blockSize),
        });
        at = bad < 0 ? -1 : isBad.indexOf(0, end);
      }
      return parts;
    });
  }

  /** Writes blocks to the origin, healing it; those that it takes are noted. */
  #writeOrigin({ offset, data }: HealWrite, written: number[]): MaybePromise<void> {
    const { origin, blockSize } = this.#context.args;
    const count = data.length / blockSize;
    const write = (): MaybePromise<void> =>
      after(origin.write(data, offset, thoroughMode(origin)), () => {
        for (let index = 0; index < count; index += 1) written.push(offset / blockSize + index);
      });
    return rescued(write, (error) => {
      if (!(error instanceof MediaError)) throw error;
      if (count === 1) return undefined;
      const single = Array.from({ length: count }, (_, index) => ({
        offset: offset + index * blockSize,
        data: data.subarray(index * blockSize, (index + 1) * blockSize),
      }));
      return inTurn(single, (part) => this.#writeOrigin(part, written));
    });
  }
}
