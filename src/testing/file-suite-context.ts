/** file-suite-context: a file under test, full of known bytes, and words for what tests do with it. */
import { strict as assert } from "node:assert";
import {
  endOf,
  StorageError,
  type ByteRange,
  type MaybePromise,
  type Prng,
} from "../base/index.ts";
import type { ErrorCode } from "../base/index.ts";
import type { File } from "../file/index.ts";

/** A file under test, and the hands that make it fail. Offsets are the file's. */
export interface FileSubject {
  /** Of 32 KiB to 1 MiB, whole pages of 4 KiB, all data, nothing bad. */
  readonly file: File;
  /** What offsets and lengths of calls are multiples of, in bytes: 512 on a direct face, else 1. */
  readonly unit: number;
  /** Whether what it stands on can be healed. */
  readonly heals: boolean;
  /** Makes whole sectors of 512 bytes bad. */
  inject(range: ByteRange, options: { readonly latent: boolean }): void;
  /** Has clears of a range refused; on a disk writes. */
  refuse(range: ByteRange): void;
  /** Called after every test. */
  dispose?(): MaybePromise<void>;
}

/** One test: its title and what it does. */
export type FileCheck = readonly [title: string, body: (it: FileContext) => MaybePromise<void>];

/** Value of bytes that a read must leave as they were. */
export const FILLER = 0xa5;
/** Bytes of a page. */
export const PAGE = 4096;
/** Bytes of a sector. */
export const SECTOR = 512;

/** A file full of known bytes, and words for what tests do with it. */
export class FileContext {
  readonly subject: FileSubject;
  readonly file: File;
  readonly prng: Prng;
  /** What the file should hold. */
  readonly content: Uint8Array;

  constructor(subject: FileSubject, prng: Prng) {
    this.subject = subject;
    this.file = subject.file;
    this.prng = prng;
    this.content = prng.bytes(subject.file.size);
  }

  /** Fills the file with random bytes. */
  async fill(): Promise<void> {
    assert.ok(this.file.size >= 8 * PAGE && this.file.size % PAGE === 0, "want eight whole pages");
    assert.equal(await this.file.pwritev2(this.content, 0), this.content.length);
    await this.file.fsync();
  }

  /** Writes random bytes, which the file should hold from then on. @returns what the call answered */
  async write(range: ByteRange, flags: number = 0): Promise<number> {
    const data = this.prng.bytes(range.length);
    const count = await this.file.pwritev2(data, range.offset, flags);
    this.content.set(data.subarray(0, count), range.offset);
    return count;
  }

  /** R1: `count` bytes of `into` are the content from an offset on, and none behind them is a byte that is bad. */
  expectBytes(into: Uint8Array, offset: number, count: number): void {
    const wanted = this.content.subarray(offset, offset + count);
    assert.equal(Buffer.compare(into.subarray(0, count), wanted), 0, "R1: what was read is data");
  }

  /** Every byte outside of `bad` is what it should be, and exactly those of `bad` are missing. */
  async expectAll(bad: readonly ByteRange[]): Promise<void> {
    const into = new Uint8Array(this.file.size).fill(FILLER);
    const { length, holes } = await this.file.readRecover(into, 0);
    assert.equal(length, this.file.size);
    const missing = new Uint8Array(length);
    for (const hole of holes) missing.fill(1, hole.offset, endOf(hole));
    const wanted = new Uint8Array(length);
    for (const range of bad) wanted.fill(1, range.offset, endOf(range));
    assert.equal(Buffer.compare(missing, wanted), 0, "exactly what is bad is missing");
    for (let at = 0; at < length; at += 1) {
      const byte = missing[at] === 1 ? FILLER : this.content[at];
      if (into[at] !== byte) assert.fail(`R2: byte ${at} is ${into[at]}, want ${byte}`);
    }
  }

  /** The call fails with a code. */
  async rejects(call: () => MaybePromise<unknown>, ...codes: readonly ErrorCode[]): Promise<void> {
    await assert.rejects(
      async () => await call(),
      (error: unknown) => error instanceof StorageError && codes.includes(error.code),
      `want ${codes.join(" or ")}`,
    );
  }
}
