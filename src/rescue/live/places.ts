/** Places: proof that a file's bytes are where the kernel says: clean ones beside the damage are the same through the file and on the device below. */
import { endOf, RangeSet, roundUp, StorageError, type ByteRange } from "../../base/index.ts";
import { onDevice } from "../../fs/index.ts";
import {
  openDirectFile,
  type BlockNode,
  type DirectFile,
  type FileExtent,
} from "../../os/index.ts";

/** Places that are compared at most. */
const MOST = 16;

/** Opens the device below a file for reading. @returns without it what that means, where it is not to be had */
export function openBelow(node: BlockNode): {
  readonly file: DirectFile | undefined;
  readonly notes: readonly string[];
} {
  const path = `/dev/${node.name.replaceAll("!", "/")}`;
  try {
    return {
      file: openDirectFile(path, { access: "read", unit: node.logicalBlock }),
      notes: [],
    };
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return {
      file: undefined,
      notes: [
        `${path} cannot be read (${error.code}): clean bytes that share a page with bad ones cannot be told from them; as root they can`,
      ],
    };
  }
}

/** What is compared. */
export interface PlacesOptions {
  readonly file: DirectFile;
  readonly below: DirectFile;
  readonly extents: readonly FileExtent[];
  /** In bytes of the file. */
  readonly bad: readonly ByteRange[];
  /** Bytes of a page, or of what is written as a whole. */
  readonly unit: number;
}

/**
 * Compares the unit behind each bad range, and the one before it.
 *
 * @throws {StorageError} ECANCELED where they differ: nobody knows then whose bytes are bad
 */
export function confirmPlaces(path: string, options: PlacesOptions): void {
  const { file, below, extents, bad, unit } = options;
  const listed = RangeSet.from(bad);
  const size = file.size();
  let done = 0;
  for (const range of bad) {
    const after = roundUp(endOf(range), unit);
    const before = range.offset - (range.offset % unit) - unit;
    for (const offset of [before, after]) {
      if (done >= MOST || offset < 0 || offset + unit > size || listed.intersects(offset, unit))
        continue;
      const [piece, ...more] = [...onDevice(extents, { offset, length: unit })];
      if (piece === undefined || more.length > 0 || piece.length !== unit) continue;
      const [ours, theirs] = [new Uint8Array(unit), new Uint8Array(unit)];
      if (file.readSync(ours, offset) !== unit || below.readSync(theirs, piece.at) !== unit)
        continue;
      done += 1;
      if (Buffer.compare(ours, theirs) === 0) continue;
      throw new StorageError(
        "ECANCELED",
        `Refused to write to ${path}: its bytes at ${offset} are not those of ${below.path} at ${piece.at}, where the kernel says that they lie: nobody knows whose bytes are bad`,
        { path, syscall: "FIEMAP" },
      );
    }
  }
}
