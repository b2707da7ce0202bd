/**
 * openExt4Map(): the FileMap of an ext4 volume, which answers from the volume's own metadata, read-only.
 *
 * Calls wait for each other, because the volume's reads share one buffer. Nothing is cached but the static map and, from the second
 * call of `paths` on, the names.
 */
import type { ByteRange } from "../../base/index.ts";
import { CallQueue } from "../call-queue.ts";
import { unknownExtent } from "../extents.ts";
import type {
  Extent,
  ExtentOptions,
  FileInfo,
  FileMap,
  JournalState,
  OwnedRange,
  Problem,
} from "../file-map.ts";
import type { BlockSource } from "../block-reader.ts";
import { scanClaims } from "./claims.ts";
import { INODE_FLAGS, isInUse, kindOf, modifiedNs, type Inode } from "./inode.ts";
import { inodesOf, slotChunks } from "./inode-scan.ts";
import { extentsOf } from "./inode-map.ts";
import { lookupPath } from "./lookup.ts";
import type { NameTable } from "../name-table.ts";
import { openExt4Volume, type OpenVolumeOptions } from "./open-volume.ts";
import { ownersOf } from "./owners.ts";
import { collectNames, type WantedNames } from "./paths.ts";
import { readInode } from "./read-inode.ts";
import { StaticMap } from "./static-map.ts";
import type { Ext4Volume } from "./volume.ts";
import { checksumsOk } from "./verify-metadata.ts";
import { WantedBlocks } from "../wanted-blocks.ts";

/**
 * Opens the map of an ext4 volume.
 *
 * @param source bytes from the start of the file system; must stay open as long as the map is used
 * @throws {StorageError} EBADMSG if it is no ext4 file system; what the source throws itself
 */
export async function openExt4Map(
  source: BlockSource,
  options: OpenVolumeOptions = {},
): Promise<FileMap> {
  return new Ext4Map(await openExt4Volume(source, options));
}

class Ext4Map implements FileMap {
  readonly filesystem = "ext4";
  readonly checker = "e2fsck -f";
  readonly #volume: Ext4Volume;
  #statics: StaticMap | undefined;
  #names: NameTable | undefined;
  #pathCalls = 0;
  readonly #calls = new CallQueue();

  constructor(volume: Ext4Volume) {
    this.#volume = volume;
  }

  get uuid(): string {
    return this.#volume.superblock.uuid;
  }

  get label(): string {
    return this.#volume.superblock.label;
  }

  get size(): number {
    return this.#volume.superblock.blockCount * this.#volume.superblock.blockSize;
  }

  get blockSize(): number {
    return this.#volume.superblock.blockSize;
  }

  get journal(): JournalState {
    return this.#volume.journal;
  }

  get problems(): readonly Problem[] {
    return this.#volume.problems;
  }

  get generation(): string {
    const { mountTime, writeTime, mountCount } = this.#volume.superblock;
    return `mounted ${mountTime}, written ${writeTime}, mounts ${mountCount}, journal ${this.#volume.journal.sequence}`;
  }

  owners(ranges: Iterable<ByteRange>): Promise<readonly OwnedRange[]> {
    const asked = [...ranges];
    return this.#calls.run(() => ownersOf(this.#volume, this.#staticMap, asked));
  }

  extents(inode: number, options: ExtentOptions = {}): Promise<readonly Extent[]> {
    return this.#calls.run(async () => {
      const found = await this.#find(inode);
      if (typeof found === "string") return unknownExtent(found, options);
      if (this.#volume.unsettled.inodes.has(inode)) {
        return unknownExtent(
          `The journal holds fast commits that change inode ${inode} and are not replayed`,
          options,
        );
      }
      return extentsOf(this.#volume, this.#staticMap, { inode: found, options });
    });
  }

  info(inode: number): Promise<FileInfo | undefined> {
    return this.#calls.run(async () => {
      const found = await this.#find(inode);
      return typeof found === "string" ? undefined : infoOf(found);
    });
  }

  lookup(path: string): Promise<number | undefined> {
    return this.#calls.run(async () =>
      this.#unknown === undefined ? lookupPath(this.#volume, this.#staticMap, path) : undefined,
    );
  }

  paths(inode: number): Promise<readonly string[]> {
    return this.#calls.run(async () => {
      if (this.#unknown !== undefined) return [];
      this.#pathCalls += 1;
      if (this.#pathCalls > 1) this.#names ??= await this.#collect("all");
      const names = this.#names ?? (await this.#collect(new Set([inode])));
      return names.pathsOf(inode);
    });
  }

  async *files(): AsyncGenerator<FileInfo & { readonly paths: readonly string[] }> {
    if (this.#unknown !== undefined) return;
    const names = await this.#calls.run(async () => (this.#names ??= await this.#collect("all")));
    for (const place of slotChunks(this.#volume)) {
      const inodes = await this.#calls.run(() => inodesOf(this.#volume, place));
      for (const inode of inodes) yield { ...infoOf(inode), paths: names.pathsOf(inode.number) };
    }
  }

  verifyMetadata(range: ByteRange): Promise<boolean | undefined> {
    return this.#calls.run(async () =>
      checksumsOk(this.#volume, await ownersOf(this.#volume, this.#staticMap, [range])),
    );
  }

  used(): Promise<Iterable<ByteRange>> {
    return this.#calls.run(async () => usedRanges(this.#volume));
  }

  get #staticMap(): StaticMap {
    return (this.#statics ??= new StaticMap(this.#volume));
  }

  get #unknown(): string | undefined {
    const { unknownFeatures } = this.#volume;
    return unknownFeatures.length === 0
      ? undefined
      : `The file system has features that are not known here: ${unknownFeatures.join(", ")}`;
  }

  /** An inode in use, or why there is none. */
  async #find(number: number): Promise<Inode | string> {
    if (this.#unknown !== undefined) return this.#unknown;
    const { inode, why } = await readInode(this.#volume, number);
    if (inode === undefined) return why;
    return (await isInUse(this.#volume, inode)) ? inode : `Inode ${number} is not in use`;
  }

  async #collect(wanted: WantedNames): Promise<NameTable> {
    const { directories } = await scanClaims(this.#volume, this.#staticMap, {
      wanted: new WantedBlocks([]),
      directories: true,
    });
    return collectNames(this.#volume, directories, wanted);
  }
}

function infoOf(inode: Inode): FileInfo {
  return {
    inode: inode.number,
    kind: kindOf(inode),
    size: inode.size,
    modifiedNs: modifiedNs(inode),
    generation: inode.generation,
    links: inode.links,
    encrypted: (inode.flags & INODE_FLAGS.encrypt) !== 0,
    verity: (inode.flags & INODE_FLAGS.verity) !== 0,
  };
}

/** Everything but what a trusted bitmap says is free. */
async function usedRanges(volume: Ext4Volume): Promise<ByteRange[]> {
  const { blockSize, blockCount } = volume.superblock;
  if (volume.unknownFeatures.length > 0) return [{ offset: 0, length: blockCount * blockSize }];
  const ranges: ByteRange[] = [];
  const step = 2 ** 20;
  for (let block = 0; block < blockCount; block += step) {
    for (const run of await volume.allocated(block, Math.min(step, blockCount - block))) {
      if (run.known && !run.used) continue;
      const last = ranges.at(-1);
      const offset = run.block * blockSize;
      const length = run.count * blockSize;
      if (last !== undefined && last.offset + last.length === offset)
        ranges[ranges.length - 1] = { offset: last.offset, length: last.length + length };
      else ranges.push({ offset, length });
    }
  }
  return ranges;
}
