/** mutate-image: harms an XFS image in memory at random, where metadata is, with checksums mended or not; and puts it back. */
import { crc32c, type BadRange, type Prng } from "../../../../src/base/index.ts";
import type { OwnedRange, OwnerWhat } from "../../../../src/fs/index.ts";

/** Where a structure's checksum is, and how long the structure is: a sector, a slot or a block. */
const CHECKSUMS: Partial<
  Readonly<Record<OwnerWhat, readonly ["sector" | "slot" | "block", number]>>
> = {
  superblock: ["sector", 224],
  "superblock-backup": ["sector", 224],
  "free-space-header": ["sector", 216],
  "inode-header": ["sector", 312],
  "free-list": ["sector", 32],
  inode: ["slot", 100],
  "free-inode": ["slot", 100],
  "free-space-tree": ["block", 52],
  "inode-tree": ["block", 52],
  "reverse-map-tree": ["block", 52],
  "reference-count-tree": ["block", 52],
  "extent-tree": ["block", 64],
  "directory-block": ["block", 4],
  "directory-index": ["block", 12],
  "xattr-block": ["block", 12],
};

/** Sizes of an image's structures, bytes. */
export interface Sizes {
  readonly sector: number;
  readonly slot: number;
  readonly block: number;
}

/** One harm. */
export interface Harm {
  /** Whether a checksum was made right again, so that nobody can see it. */
  readonly mended: boolean;
  readonly bad: readonly BadRange[];
  readonly text: string;
  /** Puts the image back. */
  readonly undo: () => void;
}

/** Harms an image once; `metadata` is where, as owners said of the whole one. */
export function harm(
  bytes: Uint8Array,
  prng: Prng,
  {
    metadata,
    sizes,
    checksums,
  }: {
    readonly metadata: readonly OwnedRange[];
    readonly sizes: Sizes;
    readonly checksums: boolean;
  },
): Harm {
  const range = prng.pick(metadata);
  const { what } = range.owners[0]!;
  const at = range.offset + prng.below(range.length);
  if (prng.below(4) === 0) {
    const length = prng.pick([64, 256, 512, 4096]);
    const offset = at - (at % length);
    const bad: BadRange = { offset, length, state: "poisoned" };
    return {
      mended: false,
      bad: [bad],
      text: `${what}: poison ${offset} ${length}`,
      undo: () => undefined,
    };
  }
  const [unit, place] = CHECKSUMS[what] ?? ["block", 0];
  const size = sizes[unit];
  const start = at - (at % size);
  const before = bytes.slice(start, start + size);
  const texts: string[] = [];
  for (let count = 1 + prng.below(3); count > 0; count -= 1) {
    // Headers hold what leads astray: counts, levels, pointers.
    const within = prng.below(2) === 0 ? prng.below(Math.min(size, 128)) : prng.below(size);
    const value = prng.pick([0, 1, 0xff, 0x7f, 0x80, prng.below(256)]);
    const length = Math.min(prng.pick([1, 2, 4, 8]), size - within);
    bytes.fill(value, start + within, start + within + length);
    texts.push(`${within}+${length}=${value}`);
  }
  const mended = checksums && place > 0 && prng.below(3) > 0;
  if (mended) mend(bytes.subarray(start, start + size), place);
  return {
    mended: mended || !checksums,
    bad: [],
    text: `${what} at ${start}: ${texts.join(" ")}${mended ? ", mended" : ""}`,
    undo: () => bytes.set(before, start),
  };
}

/** Makes the checksum of a structure right. */
export function mend(structure: Uint8Array, place: number): void {
  const view = new DataView(structure.buffer, structure.byteOffset, structure.byteLength);
  view.setUint32(place, 0);
  view.setUint32(place, ~crc32c(structure, 0xffff_ffff) >>> 0, true);
}
