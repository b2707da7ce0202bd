/** KernelLine: what a row of the tables of kernel lines is. */
import type { ByteRange } from "../../base/index.ts";
import type { KernelFinding, KernelLineContext } from "./kernel-event.ts";

/** One kind of line. Patterns are anchored and without nested repetition: a hostile line costs no more than its length. */
export interface LinePattern {
  readonly pattern: RegExp;
  /** Reads a match; `undefined` where the line says nothing of its own, or its numbers cannot be. */
  read(match: RegExpExecArray, context: KernelLineContext): KernelFinding | undefined;
}

/** A range of `count` blocks of `bytes`; `undefined` where it cannot be: empty, or past 2^53. */
export function blockRange(block: number, count: number, bytes: number): ByteRange | undefined {
  const offset = block * bytes;
  const length = count * bytes;
  return Number.isSafeInteger(offset + length) && length > 0 ? { offset, length } : undefined;
}
