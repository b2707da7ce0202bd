/**
 * DustBlocks: the bad blocks of a dust target, its two switches, and the text that keeps them between two openings. The text is the
 * messages that make them, so a person can read and write it:
 *
 *     # dm-dust, blocks of 512 bytes
 *     addbadblock 60 0
 *     enable
 *
 * Blocks are counted from the beginning of the device below, as the kernel does, and not from the row's.
 */
import { RangeSet, StorageError, type ByteRange } from "../../../base/index.ts";

/** Attempts to write a block that can be told to fail. */
export const FAIL_COUNT_MAX = 255;

/** The list, which knows nothing of the device. */
export class DustBlocks {
  readonly blockSize: number;
  /** Whether listed blocks fail; else the list waits. */
  enabled = false;
  /** Whether additions and removals are logged. */
  quiet = false;
  /** Bytes of the device below that listed blocks hold. */
  readonly bytes: RangeSet = new RangeSet();
  /** Writes that a block fails before one heals it, where that is not 0. */
  readonly #failCounts = new Map<number, number>();

  /** @param blockSize bytes; a power of two */
  constructor(blockSize: number) {
    this.blockSize = blockSize;
  }

  get count(): number {
    return this.bytes.byteLength / this.blockSize;
  }

  has(block: number): boolean {
    return this.bytes.intersects(block * this.blockSize, 1);
  }

  /** @returns whether it was not listed */
  add(block: number, failCount: number): boolean {
    if (this.has(block)) return false;
    this.bytes.add(block * this.blockSize, this.blockSize);
    if (failCount > 0) this.#failCounts.set(block, failCount);
    return true;
  }

  /** @returns whether it was listed */
  remove(block: number): boolean {
    if (!this.has(block)) return false;
    this.bytes.delete(block * this.blockSize, this.blockSize);
    this.#failCounts.delete(block);
    return true;
  }

  clear(): void {
    this.bytes.clear();
    this.#failCounts.clear();
  }

  /** All that are listed, ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (const range of this.bytes) yield* this.#blocksIn(range);
  }

  /** The listed blocks that a range of the device below touches, ascending. */
  *touched(range: ByteRange): Generator<number> {
    for (const part of this.bytes.within(range.offset, range.length)) yield* this.#blocksIn(part);
  }

  *#blocksIn({ offset, length }: ByteRange): Generator<number> {
    const end = offset + length;
    for (let block = Math.floor(offset / this.blockSize); block * this.blockSize < end; block += 1)
      yield block;
  }

  /** Lets a write to a block fail where it has to. @returns whether it fails */
  failsWrite(block: number): boolean {
    const left = this.#failCounts.get(block) ?? 0;
    if (left === 0) return false;
    if (left === 1) this.#failCounts.delete(block);
    else this.#failCounts.set(block, left - 1);
    return true;
  }

  /** The text that keeps it. */
  format(): string {
    const lines = [`# dm-dust, blocks of ${this.blockSize} bytes\n`];
    for (const block of this)
      lines.push(`addbadblock ${block} ${this.#failCounts.get(block) ?? 0}\n`);
    if (this.enabled) lines.push("enable\n");
    if (this.quiet) lines.push("quiet\n");
    return lines.join("");
  }

  /**
   * Becomes what a text says.
   *
   * @throws {StorageError} EBADMSG with line and wish; for blocks of another size too, because the numbers would mean other bytes
   */
  parse(text: string): void {
    const [head = "", ...lines] = text.split("\n");
    const wish = `# dm-dust, blocks of ${this.blockSize} bytes`;
    this.clear();
    this.enabled = false;
    this.quiet = false;
    if (head !== wish) throw textError(1, `"${wish}"`, head);
    for (const [at, line] of lines.entries()) {
      if (line === "") continue;
      const [, block, failCount] = /^addbadblock (\d{1,16}) (\d{1,3})$/.exec(line) ?? [];
      if (line === "enable") this.enabled = true;
      else if (line === "quiet") this.quiet = true;
      else if (
        block === undefined ||
        !Number.isSafeInteger((Number(block) + 1) * this.blockSize) ||
        Number(failCount) > FAIL_COUNT_MAX ||
        !this.add(Number(block), Number(failCount))
      )
        throw textError(at + 2, `"addbadblock BLOCK COUNT", "enable" or "quiet"`, line);
    }
  }
}

function textError(line: number, wish: string, got: string): StorageError {
  return new StorageError(
    "EBADMSG",
    `Cannot use the bad blocks that were kept: line ${line}: want ${wish}: got ${JSON.stringify(got.slice(0, 80))}`,
  );
}
