/**
 * BlockReader: reads blocks of the volume, with the journal's newer content laid over them, and remembers the last ones read.
 *
 * Small reads go through a cache of 16 KiB chunks, because metadata is asked for again and again; reads of 64 KiB and more go straight
 * to the source. Answers are synchronous where the source's are. Bytes that are missing are zero in `bytes` and named in `bad` (R1);
 * bytes past the end of a cut-off source are "unread".
 */
import { assert, endOf, isPromise, type BadRange, type MaybePromise } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import { whenReady } from "./ready.ts";

/** Blocks as they are, or would be after replay. */
export interface BlockRead {
  /** The bytes: a view that is valid until the next read; copy what must last. Bad ranges in it are zero-filled. */
  readonly bytes: Uint8Array;
  /** What is bad in it, in bytes relative to the start of `bytes`. Empty: all is there. */
  readonly bad: readonly BadRange[];
}

/** What a volume is read from: bytes, and which of them are missing. */
export type BlockSource = Pick<Device, "size" | "read">;

/** Newer content of blocks: where a replayed journal holds it. */
export interface Overlay {
  /** Whether no block has newer content. */
  readonly empty: boolean;
  /** Newer content of a block: block-sized bytes, another block of the volume that holds it, or bad; `undefined` where it has none. */
  find(block: number): OverlayEntry | undefined;
}

/** Newer content of one block. */
export type OverlayEntry =
  /** At `block` of the volume; `escaped`: its first four bytes stand for the journal's magic number (jbd2 JBD2_FLAG_ESCAPE). */
  | { readonly kind: "block"; readonly block: number; readonly escaped: boolean }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "bad" };

const NOTHING_BAD: readonly BadRange[] = Object.freeze([]);
const NO_OVERLAY: Overlay = { empty: true, find: () => undefined };
const ESCAPED_WORD = [0xc0, 0x3b, 0x39, 0x98];
const DIRECT = 64 * 1024;
const LARGEST_SCRATCH = 4 * 1024 * 1024;
const LARGEST_READ = 256 * 1024 * 1024;

/** How a reader is made. */
export interface BlockReaderOptions {
  /** Bytes of the cache. @default 64 MiB */
  readonly cacheBytes?: number;
}

/** Reads blocks. One reader may be used by several tasks at once. */
export class BlockReader {
  readonly blockSize: number;
  readonly source: BlockSource;
  overlay: Overlay = NO_OVERLAY;
  readonly #chunk: number;
  readonly #generationSize: number;
  /** Two generations make a cheap "least recently used": what was not asked for during a whole generation is dropped. */
  #young = new Map<number, BlockRead>();
  #old = new Map<number, BlockRead>();
  #scratch: Uint8Array = new Uint8Array(0);
  /** Whether nobody reads into the scratch buffer. */
  #free = true;
  /** The view that was used last. */
  #view = this.#scratch;
  /** Views of the scratch buffer by their length: one costs more than the copy of a block. */
  readonly #views = new Map<number, Uint8Array>();

  constructor(source: BlockSource, blockSize: number, options: BlockReaderOptions = {}) {
    this.source = source;
    this.blockSize = blockSize;
    this.#chunk = Math.max(blockSize, 16 * 1024);
    this.#generationSize = Math.max(
      1,
      Math.floor((options.cacheBytes ?? 64 * 1024 * 1024) / this.#chunk / 2),
    );
  }

  /**
   * Blocks with the overlay's content. The caller has checked that they are of the volume; at most 256 MiB.
   *
   * @param once they will not be asked for again: a small read passes the cache by
   */
  readBlocks(block: number, count: number, once = false): MaybePromise<BlockRead> {
    if (this.overlay.empty)
      return this.readBytes(block * this.blockSize, count * this.blockSize, once);
    const newer: { readonly index: number; readonly entry: OverlayEntry }[] = [];
    for (let index = 0; index < count; index += 1) {
      const entry = this.overlay.find(block + index);
      if (entry !== undefined) newer.push({ index, entry });
    }
    if (newer.length === 0)
      return this.readBytes(block * this.blockSize, count * this.blockSize, once);
    if (count === 1) return this.#newest((newer[0] as { entry: OverlayEntry }).entry);
    return this.#merge(block, count, newer);
  }

  /** Bytes as they are on the device, whatever the overlay says. */
  readBytes(offset: number, length: number, once = false): MaybePromise<BlockRead> {
    assert(length <= LARGEST_READ, "a block read is at most 256 MiB");
    if (!once && length < DIRECT) {
      const first = Math.floor(offset / this.#chunk);
      if (offset + length <= (first + 1) * this.#chunk) {
        return whenReady(this.#cached(first), (read) =>
          cut(read, offset - first * this.#chunk, length),
        );
      }
    }
    return this.#direct(offset, length);
  }

  #cached(index: number): MaybePromise<BlockRead> {
    const young = this.#young.get(index);
    if (young !== undefined) return young;
    const old = this.#old.get(index);
    if (old !== undefined) {
      this.#keep(index, old);
      return old;
    }
    const read = this.#load(new Uint8Array(this.#chunk), index * this.#chunk);
    return whenReady(read, (loaded) => {
      this.#keep(index, loaded);
      return loaded;
    });
  }

  #keep(index: number, read: BlockRead): void {
    if (this.#young.size >= this.#generationSize) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(index, read);
  }

  #direct(offset: number, length: number): MaybePromise<BlockRead> {
    const view = this.#take(length);
    const read = this.#load(view, offset);
    // A source that answers later may be asked again before the answer is used: only then must the buffer not be used twice.
    this.#free = !isPromise(read);
    return read;
  }

  /** A view of the scratch buffer; of a new one where that is in use or too small. */
  #take(length: number): Uint8Array {
    if (this.#free && this.#view.length === length) {
      this.#free = false;
      return this.#view;
    }
    if (!this.#free || this.#scratch.length < length) {
      this.#views.clear();
      this.#scratch = new Uint8Array(length);
    }
    const view = this.#views.get(length) ?? this.#scratch.subarray(0, length);
    // What is very large is not kept.
    if (length > LARGEST_SCRATCH) this.#scratch = new Uint8Array(0);
    else this.#views.set(length, view);
    this.#view = length > LARGEST_SCRATCH ? this.#scratch : view;
    this.#free = false;
    return view;
  }

  #load(into: Uint8Array, offset: number): MaybePromise<BlockRead> {
    const there = Math.max(0, Math.min(into.length, this.source.size - offset));
    if (there === 0) return finish(into, { offset, there }, []);
    const result = this.source.read(there === into.length ? into : into.subarray(0, there), offset);
    if (isPromise(result))
      return result.then(({ missing }) => finish(into, { offset, there }, missing));
    return finish(into, { offset, there }, result.missing);
  }

  #newest(entry: OverlayEntry): MaybePromise<BlockRead> {
    if (entry.kind === "bytes") return { bytes: entry.bytes, bad: NOTHING_BAD };
    if (entry.kind === "bad") {
      const bad: BadRange = { offset: 0, length: this.blockSize, state: "unread" };
      return { bytes: new Uint8Array(this.blockSize), bad: [bad] };
    }
    const read = this.readBytes(entry.block * this.blockSize, this.blockSize);
    return entry.escaped ? whenReady(read, unescape) : read;
  }

  async #merge(
    block: number,
    count: number,
    newer: readonly { readonly index: number; readonly entry: OverlayEntry }[],
  ): Promise<BlockRead> {
    const size = this.blockSize;
    const below = await this.readBytes(block * size, count * size);
    const bytes = below.bytes.slice();
    const replaced = new Set(newer.map(({ index }) => index));
    const bad = below.bad.flatMap((range) => outside(range, size, replaced));
    for (const { index, entry } of newer) {
      const read = await this.#newest(entry);
      bytes.set(read.bytes, index * size);
      for (const range of read.bad) bad.push({ ...range, offset: index * size + range.offset });
    }
    return { bytes, bad: bad.sort((one, other) => one.offset - other.offset) };
  }
}

/** The parts of a bad range that lie in blocks that are not replaced. */
function outside(range: BadRange, size: number, replaced: ReadonlySet<number>): BadRange[] {
  const parts: BadRange[] = [];
  for (let at = range.offset; at < endOf(range);) {
    const index = Math.floor(at / size);
    const end = Math.min(endOf(range), (index + 1) * size);
    if (!replaced.has(index)) parts.push({ offset: at, length: end - at, state: range.state });
    at = end;
  }
  return parts;
}

/**
 * The journal writes zeros over a first word that looks like its own magic number; replay puts the number back. The flag alone says what the word
 * is, so it is known even where the journal cannot be read.
 */
function unescape(read: BlockRead): BlockRead {
  const bytes = read.bytes.slice();
  bytes.set(ESCAPED_WORD);
  const bad = cut(read, ESCAPED_WORD.length, bytes.length - ESCAPED_WORD.length).bad;
  return {
    bytes,
    bad: bad.map(({ offset, length, state }) => ({
      offset: offset + ESCAPED_WORD.length,
      length,
      state,
    })),
  };
}

function cut(read: BlockRead, offset: number, length: number): BlockRead {
  const bytes = read.bytes.subarray(offset, offset + length);
  if (read.bad.length === 0) return { bytes, bad: NOTHING_BAD };
  const bad: BadRange[] = [];
  for (const range of read.bad) {
    const start = Math.max(range.offset, offset);
    const end = Math.min(endOf(range), offset + length);
    if (start < end) bad.push({ offset: start - offset, length: end - start, state: range.state });
  }
  return { bytes, bad };
}

interface Loaded {
  readonly offset: number;
  /** Bytes that the source has. */
  readonly there: number;
}

function finish(
  bytes: Uint8Array,
  { offset, there }: Loaded,
  missing: readonly BadRange[],
): BlockRead {
  if (missing.length === 0 && there === bytes.length) return { bytes, bad: NOTHING_BAD };
  const bad = missing.map((range) => ({
    offset: range.offset - offset,
    length: range.length,
    state: range.state,
  }));
  if (there < bytes.length)
    bad.push({ offset: there, length: bytes.length - there, state: "unread" });
  for (const range of bad) bytes.fill(0, range.offset, endOf(range));
  return { bytes, bad };
}

/** Whether any bad byte lies in `[offset, offset + length)` of a read. */
export function isBad(read: BlockRead, offset: number, length: number): boolean {
  return read.bad.some((range) => range.offset < offset + length && endOf(range) > offset);
}
