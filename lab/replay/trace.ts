/** trace: one recorded case of a kernel's answers, a JSON object a line (lab/README.md has the format), read and checked. */

/** One recorded call. */
export interface TraceOperation {
  readonly op: "r" | "w";
  readonly off: number;
  readonly len: number;
  /** Value of every byte written. */
  readonly fill?: number;
  /** Result of the call; negative where it failed, with `errno`. */
  readonly ret: number;
  readonly errno: number;
  /** 64-bit FNV-1a of the bytes read, hexadecimal. */
  readonly fnv?: string;
  /** Bad blocks of the file after a write: `[sector, count]`, merged. */
  readonly bb?: readonly (readonly [sector: number, count: number])[];
  /** errno of the fsync behind a buffered write, where it failed. */
  readonly sync?: number;
}

/** One case: a file of `size` bytes, what is poisoned, and the calls in order. */
export interface TraceCase {
  readonly case: number;
  readonly size: number;
  readonly poison: readonly (readonly [sector: number, count: number])[];
  /** Bytes that one clear of the firmware clears at most; -1: it refuses. @default all */
  readonly clear?: number;
  /** Sectors of the file before the border of two rows of a linear table. @default none */
  readonly seam?: number;
  /** Extents of the file in pages, "w" written, "u" unwritten; holes between them. @default one written extent */
  readonly extents?: readonly (readonly [first: number, pages: number, kind: "w" | "u"])[];
  readonly ops: readonly TraceOperation[];
}

/**
 * Parses the lines of a trace.
 *
 * @throws {Error} with the line's number if one is not of the form, as the last one of a trace that was cut off
 */
export function parseTrace(text: string, name: string): TraceCase[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line, index) => {
      try {
        const found = JSON.parse(line) as TraceCase;
        if (!Array.isArray(found.ops) || !Array.isArray(found.poison))
          throw new Error("want ops and poison");
        return found;
      } catch (error) {
        throw new Error(`${name}:${index + 1}: Cannot read the case: ${String(error)}`, {
          cause: error,
        });
      }
    });
}

/** 1469598103934665603 in limbs. */
const BASIS: readonly [number, number, number, number] = [0x1465, 0x0fb0, 0x739d, 0x0383];

/** 64-bit FNV-1a (basis 1469598103934665603, prime 1099511628211) of bytes, in hexadecimal. */
export function fnv64(bytes: Uint8Array): string {
  // Four limbs of 16 bits, the highest first: products stay whole numbers.
  let [a, b, c, d] = BASIS;
  for (let index = 0; index < bytes.length; index += 1) {
    d ^= bytes[index]!;
    // The prime is 2^40 + 0x1b3.
    const low = d * 0x1b3;
    const second = c * 0x1b3 + (low >>> 16);
    const third = b * 0x1b3 + ((d << 8) >>> 0) + (second >>> 16);
    const fourth = a * 0x1b3 + c * 256 + Math.floor(third / 0x10000);
    d = low & 0xffff;
    c = second & 0xffff;
    b = third & 0xffff;
    a = fourth & 0xffff;
  }
  return [a, b, c, d].map((limb) => limb.toString(16).padStart(4, "0")).join("");
}
