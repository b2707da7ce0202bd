/** MutatedSource: an image in memory that is cut off, poisoned, and counts what is read of it, so that no map can read for ever. */
import type { BadRange, ByteRange } from "../../src/base/index.ts";
import { COMPLETE, type ReadResult } from "../../src/device/index.ts";

/** Reads and bytes that one run may cost: a hundred times what an unharmed image does. */
const READS_MAX = 5000;
const BYTES_MAX = 2 ** 28;

/** Bytes of an image, however they are kept. */
export interface ImageBytes {
  readonly length: number;
  /** Copies bytes from `offset` on into all of `into`. */
  copy(into: Uint8Array, offset: number): void;
}

/** An image that is kept whole. */
export function wholeImage(bytes: Uint8Array): ImageBytes {
  return {
    length: bytes.length,
    copy: (into, offset) => into.set(bytes.subarray(offset, offset + into.length)),
  };
}

/** What was done to an image. */
export interface Mutation {
  readonly story: string;
  /** Whether checksums were mended, so that the harm gets past them. */
  readonly mended: boolean;
  /** Whether bytes were changed. */
  readonly edited: boolean;
  /** Bytes that are left of the image. */
  readonly size: number;
  /** Ascending, apart. */
  readonly poison: readonly ByteRange[];
}

/** Thrown where a map reads without end; no StorageError, so that nothing swallows it as one. */
export class BudgetError extends Error {
  override readonly name = "BudgetError";
}

/** The source of one run. */
export class MutatedSource {
  readonly size: number;
  reads = 0;
  bytesRead = 0;
  readonly #bytes: ImageBytes;
  readonly #poison: readonly ByteRange[];

  /** @param options what is missing: `size` cuts the image off, `poison` is ascending and apart */
  constructor(
    bytes: ImageBytes,
    options: { readonly size?: number; readonly poison?: readonly ByteRange[] } = {},
  ) {
    this.#bytes = bytes;
    this.size = options.size ?? bytes.length;
    this.#poison = options.poison ?? [];
  }

  read(into: Uint8Array, offset: number): ReadResult {
    this.reads += 1;
    this.bytesRead += into.length;
    if (this.reads > READS_MAX || this.bytesRead > BYTES_MAX)
      throw new BudgetError(`${this.reads} reads of ${this.bytesRead} bytes`);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + into.length > this.size) {
      throw new RangeError(`read of ${into.length} at ${offset}, past ${this.size}`);
    }
    if (this.#poison.length === 0) {
      this.#bytes.copy(into, offset);
      return COMPLETE;
    }
    return this.#readAround(into, offset);
  }

  #readAround(into: Uint8Array, offset: number): ReadResult {
    const end = offset + into.length;
    const missing: BadRange[] = [];
    this.#bytes.copy(into, offset);
    for (const range of this.#poison) {
      const from = Math.max(offset, range.offset);
      const to = Math.min(end, range.offset + range.length);
      if (from >= to) continue;
      // What is missing must not be used: something that would stand out.
      into.fill(0xa5, from - offset, to - offset);
      missing.push({ offset: from, length: to - from, state: "poisoned" });
    }
    return missing.length === 0 ? COMPLETE : { missing };
  }
}
