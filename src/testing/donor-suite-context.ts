/** donor-suite-context: a donor under test with a file that it offers, the hands that make it fail, and words for what tests do with both. */
import { strict as assert } from "node:assert";
import {
  endOf,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
  type Prng,
} from "../base/index.ts";
import { knownLacks, type Donor, type DonorFile } from "../donor/index.ts";

/** A donor under test. What a donor cannot suffer is left out; the tests of it then hold without doing anything. */
export interface DonorSubject {
  readonly donor: Donor;
  /** A file that it offers, of 64 KiB at least, whole, with bytes that do not repeat. */
  readonly path: string;
  readonly content: Uint8Array;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
  /** UUID of the volume that the file is of, where the donor gives volumes. */
  readonly uuid?: string;
  /** A path that would lead to something outside the donor, if paths were followed. */
  readonly outside?: string;
  /** Makes bytes of the file unreadable: at least those given, at most `grain` more on each side. */
  spoil?(range: ByteRange): MaybePromise<void>;
  /** Bytes. @default 4096 */
  readonly grain?: number;
  /** Whether `lacks` knows of what was spoiled before anybody read it. @default false */
  readonly knowsSpoiled?: boolean;
  /** Cuts the file off, while it may be open. */
  shrink?(size: number): MaybePromise<void>;
  /** Puts other bytes of the same size into the place of the file, while it may be open. */
  replace?(): MaybePromise<void>;
  /** Takes the whole place away: the disk is unplugged, the server ends. */
  vanish?(): MaybePromise<void>;
  /** Called after every test. */
  dispose?(): MaybePromise<void>;
}

/** One test: its title and what it does. */
export type DonorCheck = readonly [title: string, body: (context: DonorContext) => Promise<void>];

/** A donor under test, and words for what tests do with it. */
export class DonorContext {
  readonly subject: DonorSubject;
  readonly prng: Prng;
  readonly #open: DonorFile[] = [];

  constructor(subject: DonorSubject, prng: Prng) {
    this.subject = subject;
    this.prng = prng;
  }

  /** Opens the file. */
  async file(): Promise<DonorFile> {
    const { donor, path, uuid } = this.subject;
    const file = await donor.file(path, uuid);
    assert.ok(file !== undefined, `the donor offers ${path}`);
    this.#open.push(file);
    return file;
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    for (const file of this.#open.splice(0)) await file.close();
  }

  /**
   * Reads a range and checks the contract: what is not told as missing is the content, what is told is ascending, apart and inside.
   *
   * @returns what is missing
   */
  async read(file: DonorFile, range: ByteRange): Promise<readonly BadRange[]> {
    const { content } = this.subject;
    const into = this.prng.bytes(range.length);
    const { missing } = await file.read(into, range.offset);
    checkRanges(missing, range);
    let at = range.offset;
    for (const hole of [...missing, { offset: endOf(range), length: 0 }]) {
      const got = into.subarray(at - range.offset, hole.offset - range.offset);
      assert.ok(hole.offset <= content.length || got.length === 0, "R1: nothing behind the end");
      const wanted = content.subarray(at, hole.offset);
      assert.equal(Buffer.compare(got, wanted), 0, `R1: bytes ${at} to ${hole.offset} are its own`);
      at = endOf(hole);
    }
    return missing;
  }

  /** The same where the donor may also say that it no longer answers. @returns `undefined` where it did */
  async tryRead(file: DonorFile, range: ByteRange): Promise<readonly BadRange[] | undefined> {
    try {
      return await this.read(file, range);
    } catch (error) {
      checkFailure(error);
      return undefined;
    }
  }

  /** What it says to lack, checked against what a read misses: what it lacks, no read gives. */
  async lacks(file: DonorFile, range: ByteRange): Promise<readonly BadRange[]> {
    const lacks = await knownLacks(file, range);
    checkRanges(lacks, range);
    for (const hole of lacks) {
      const bytes = sum(await this.read(file, hole));
      assert.equal(bytes, hole.length, `bytes ${hole.offset} to ${endOf(hole)} are lacked`);
    }
    return lacks;
  }
}

/** Bytes of ranges. */
export function sum(ranges: readonly ByteRange[]): number {
  return ranges.reduce((bytes, { length }) => bytes + length, 0);
}

/** Whether an error is a failure of the world, told with a message. */
export function checkFailure(error: unknown): void {
  assert.ok(error instanceof StorageError, `a failure is a StorageError: got ${String(error)}`);
  assert.ok(error.message.length > error.code.length + 2, "it says what failed");
}

function checkRanges(ranges: readonly BadRange[], within: ByteRange): void {
  let end = within.offset;
  for (const range of ranges) {
    assert.ok(range.length > 0, "no range is empty");
    assert.ok(range.offset >= end, "ranges ascend and stay apart");
    end = endOf(range);
  }
  assert.ok(end <= endOf(within), "ranges lie inside the request");
}
