/** Arguments: parsers for commander's options that say what was wanted. All throw commander's own error: exit 2. */
import { InvalidArgumentError } from "commander";
import { isPowerOfTwo, parseSize } from "../base/index.ts";

/** A size or offset in any form of `parseSize`: `4096`, `0x1000`, `64K`, `8s`. Bytes. */
export function sizeArgument(text: string): number {
  try {
    return parseSize(text.trim());
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** A size that must be a power of two. Bytes. */
export function powerOfTwoArgument(text: string): number {
  const size = sizeArgument(text);
  if (!isPowerOfTwo(size)) throw new InvalidArgumentError(`Want a power of two: got ${size}`);
  return size;
}

/** A whole number from `min` up. */
export function countArgument(min: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`Want a whole number from ${min} up: got "${text}"`);
    }
    return value;
  };
}

/** Collects an option that may be given several times; `parse` reads one value. */
export function several<Value>(
  parse: (text: string) => Value,
): (text: string, before: readonly Value[] | undefined) => readonly Value[] {
  return (text, before) => [...(before ?? []), parse(text)];
}

/** A whole number from 0 up. */
export function integerArgument(text: string): number {
  return countArgument(0)(text);
}
