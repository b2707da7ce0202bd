/** Fixture: one small XFS image, what its map says of it unharmed, and its structures: where mutations aim. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { openFileMap, type OwnedRange } from "../../../../src/fs/index.ts";
import { openXfsVolume } from "../../../../src/fs/xfs/open-volume.ts";
import type { Superblock } from "../../../../src/fs/xfs/superblock.ts";
import { MutatedSource } from "../../../support/mutated-source.ts";
import { mend } from "./mend.ts";
import { SparseImage } from "./sparse-image.ts";

const FOLDER = join(import.meta.dirname, "../fixtures");

/** Where checksum, own address (sectors of 512 bytes) and owner stand in structures of v5. */
interface Marks {
  readonly checksum: number;
  readonly address?: number;
  /** An inode of 64 bits, or an AG of 32. */
  readonly inode?: number;
  readonly ag?: number;
}

const AG_TREE: Marks = { checksum: 52, address: 16, ag: 48 };
const DIRECTORY: Marks = { checksum: 4, address: 8, inode: 40 };
const LEAF: Marks = { checksum: 12, address: 16, inode: 48 };
const MARKS: Readonly<Record<string, Marks>> = {
  superblock: { checksum: 224 },
  "superblock-backup": { checksum: 224 },
  "free-space-header": { checksum: 216, ag: 8 },
  "inode-header": { checksum: 312, ag: 8 },
  "free-list": { checksum: 32, ag: 4 },
  inode: { checksum: 100, inode: 152 },
  "free-space-tree": AG_TREE,
  "inode-tree": AG_TREE,
  "reverse-map-tree": AG_TREE,
  "reference-count-tree": AG_TREE,
  "extent-tree": { checksum: 64, address: 24, inode: 56 },
  "directory-block": DIRECTORY,
  "directory-index": LEAF,
  "xattr-block": LEAF,
};

/** One structure of metadata. */
export interface Structure {
  readonly what: string;
  readonly offset: number;
  readonly length: number;
  readonly ag: number;
  /** Inode that it is, or belongs to. */
  readonly inode: number | undefined;
}

/** An image and its truth. */
export class XfsFixture {
  readonly name: string;
  readonly image: SparseImage;
  readonly superblock: Superblock;
  /** Owners of the whole volume, unharmed. */
  readonly truth: readonly OwnedRange[];
  /** Paths of every inode, unharmed. */
  readonly paths: ReadonlyMap<number, ReadonlySet<string>>;
  /** State of the log as JSON, unharmed. */
  readonly journal: string;
  readonly structures: readonly Structure[];
  readonly #byWhat = new Map<string, Structure[]>();

  constructor(
    name: string,
    parts: Pick<XfsFixture, "image" | "superblock" | "truth" | "paths" | "journal">,
  ) {
    this.name = name;
    this.image = parts.image;
    this.superblock = parts.superblock;
    this.truth = parts.truth;
    this.paths = parts.paths;
    this.journal = parts.journal;
    this.structures = structuresOf(parts.truth, parts.superblock);
    for (const structure of this.structures) {
      const list = this.#byWhat.get(structure.what) ?? [];
      list.push(structure);
      this.#byWhat.set(structure.what, list);
    }
  }

  get checksummed(): boolean {
    return this.superblock.features.checksums;
  }

  /** Kinds of structures that the image has. */
  get whats(): readonly string[] {
    return [...this.#byWhat.keys()];
  }

  /** Structures of one kind. */
  of(what: string): readonly Structure[] {
    return this.#byWhat.get(what) ?? [];
  }

  /** Makes the checksum of a structure's bytes right, where it is one that has one. `deep` makes it say, too, that it stands where it does. */
  mend(bytes: Uint8Array, structure: Structure, deep: boolean): void {
    const marks = MARKS[structure.what];
    if (!this.checksummed || marks === undefined) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (deep) {
      if (marks.address !== undefined)
        view.setBigUint64(marks.address, BigInt(structure.offset / 512));
      if (marks.ag !== undefined) view.setUint32(marks.ag, structure.ag);
      if (marks.inode !== undefined && structure.inode !== undefined)
        view.setBigUint64(marks.inode, BigInt(structure.inode));
    }
    mend(bytes, marks.checksum);
  }
}

/** Bytes of one structure of a kind; `undefined` of what is none. */
function sizeOf(what: string, kind: string, superblock: Superblock): number | undefined {
  const { sectorSize, blockSize, inodeSize, directoryBlockSize } = superblock;
  if (what === "inode" || what === "unused-inode") return inodeSize;
  if (what.startsWith("directory-")) return directoryBlockSize;
  if (/^superblock|header$|^free-list$|^journal/.test(what)) return sectorSize;
  return kind === "metadata" || what === "symlink-target" ? blockSize : undefined;
}

function structuresOf(truth: readonly OwnedRange[], superblock: Superblock): Structure[] {
  const agSize = superblock.agBlocks * superblock.blockSize;
  const structures: Structure[] = [];
  for (const { offset, length, owners } of truth) {
    const { kind, what, inode } = owners[0]!;
    const size = sizeOf(what, kind, superblock);
    if (size === undefined) continue;
    // Of the log its beginning, where its head is.
    const end = offset + (what === "journal-log" ? Math.min(length, 8 * size) : length);
    for (let at = offset; at < end; at += size)
      structures.push({ what, offset: at, length: size, ag: Math.floor(at / agSize), inode });
  }
  return structures;
}

/** Reads the truth of an unharmed image from its own map, which the interop tests hold against xfs_db. */
async function learn(name: string, bytes: Uint8Array): Promise<XfsFixture> {
  const image = new SparseImage(bytes);
  const { superblock } = await openXfsVolume(new MutatedSource(image));
  const map = await openFileMap(new MutatedSource(image));
  const truth = await map.owners([{ offset: 0, length: map.size }]);
  const paths = new Map<number, ReadonlySet<string>>();
  for await (const file of map.files()) paths.set(file.inode, new Set(file.paths));
  const journal = JSON.stringify(map.journal);
  return new XfsFixture(name, { image, superblock, truth, paths, journal });
}

/** Names of all images of the corpus. */
export const XFS_FIXTURES: readonly string[] = readdirSync(FOLDER)
  .flatMap((entry) => /^(\w+)\.xfs\.(?:br|gz)$/.exec(entry)?.[1] ?? [])
  .sort();

/** An image of the corpus as it is. */
export function fixtureBytes(name: string): Uint8Array {
  const packed = join(FOLDER, `${name}.xfs.br`);
  return new Uint8Array(
    existsSync(packed)
      ? brotliDecompressSync(readFileSync(packed))
      : gunzipSync(readFileSync(join(FOLDER, `${name}.xfs.gz`))),
  );
}

/** An image of the corpus, with its truth. */
export function loadXfsFixture(name: string): Promise<XfsFixture> {
  return learn(name, fixtureBytes(name));
}
