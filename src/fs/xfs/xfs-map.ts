/** openXfsMap(): the FileMap of an XFS volume, which answers from the volume's own metadata, read-only. */
import type { ByteRange } from "../../base/index.ts";
import type { BlockReaderOptions, BlockSource } from "../block-reader.ts";
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
import { WantedBlocks } from "../wanted-blocks.ts";
import { scanClaims } from "./claims.ts";
import { extentsOf } from "./file-extents.ts";
import { infoOf, readInode, type Inode } from "./inode.ts";
import { inodeChunks, visitChunk } from "./inode-walk.ts";
import { lookupPath } from "./lookup.ts";
import { openXfsVolume } from "./open-volume.ts";
import { ownersOf, type OwnerSource } from "./owners.ts";
import { collectNames, type Names, type WantedNames } from "./paths.ts";
import { usedRanges } from "./used.ts";
import { checksumsOk } from "./verify-metadata.ts";
import type { XfsVolume } from "./volume.ts";

/** How a map is opened. */
export interface XfsMapOptions extends BlockReaderOptions {
  /** Whether owners of blocks are told by the maps of inodes first, or by the reverse map where there is one. @default "inodes" */
  readonly source?: OwnerSource;
}

/**
 * Opens the map of an XFS volume.
 *
 * @param source bytes from the start of the file system; must stay open as long as the map is used
 * @throws {StorageError} EBADMSG if it is no XFS file system; what the source throws itself
 */
export async function openXfsMap(
  source: BlockSource,
  options: XfsMapOptions = {},
): Promise<FileMap> {
  return new XfsMap(await openXfsVolume(source, options), options.source ?? "inodes");
}

class XfsMap implements FileMap {
  readonly filesystem = "xfs";
  readonly checker = "xfs_repair";
  readonly #volume: XfsVolume;
  readonly #source: OwnerSource;
  readonly #calls = new CallQueue();
  #names: Names | undefined;
  #pathCalls = 0;

  constructor(volume: XfsVolume, source: OwnerSource) {
    this.#volume = volume;
    this.#source = source;
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
    return `counters ${this.#volume.superblock.state}, log ${this.#volume.journal.sequence}`;
  }

  owners(ranges: Iterable<ByteRange>): Promise<readonly OwnedRange[]> {
    const asked = [...ranges];
    return this.#calls.run(() => ownersOf(this.#volume, asked, this.#source));
  }

  extents(inode: number, options: ExtentOptions = {}): Promise<readonly Extent[]> {
    return this.#calls.run(async () => {
      const found = await this.#find(inode);
      return typeof found === "string"
        ? unknownExtent(found, options)
        : extentsOf(this.#volume, found, options);
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
      this.#unknown === undefined ? lookupPath(this.#volume, path) : undefined,
    );
  }

  paths(inode: number): Promise<readonly string[]> {
    return this.#calls.run(async () => {
      if (this.#unknown !== undefined) return [];
      this.#pathCalls += 1;
      if (this.#pathCalls > 1) this.#names ??= await this.#collect("all");
      const names = this.#names ?? (await this.#collect(new Set([inode])));
      // A name that no directory tells may be told by the inode itself, where it is asked for.
      const alone = this.#names !== undefined && !names.table.has(inode);
      const { table } =
        alone && this.#volume.superblock.features.parentPointers
          ? await this.#collect(new Set([inode]))
          : names;
      return table.pathsOf(inode);
    });
  }

  async *files(): AsyncGenerator<FileInfo & { readonly paths: readonly string[] }> {
    if (this.#unknown !== undefined) return;
    const { table } = await this.#calls.run(
      async () => (this.#names ??= await this.#collect("all")),
    );
    for (let ag = 0; ag < this.#volume.agsThere; ag += 1) {
      const { chunks } = await this.#calls.run(() => inodeChunks(this.#volume, ag));
      for (const chunk of [...chunks].sort((one, other) => one.first - other.first)) {
        const found: FileInfo[] = [];
        const inode = (each: Inode): void => {
          if (each.doubt === undefined) found.push(infoOf(each));
        };
        await this.#calls.run(() =>
          visitChunk(this.#volume, chunk, { inode, hidden: () => undefined }),
        );
        for (const info of found) yield { ...info, paths: table.pathsOf(info.inode) };
      }
    }
  }

  verifyMetadata(range: ByteRange): Promise<boolean | undefined> {
    return this.#calls.run(async () =>
      checksumsOk(this.#volume, await ownersOf(this.#volume, [range], this.#source)),
    );
  }

  used(): Promise<Iterable<ByteRange>> {
    return this.#calls.run(() => usedRanges(this.#volume));
  }

  get #unknown(): string | undefined {
    const { unknownFeatures } = this.#volume.superblock;
    return unknownFeatures.length === 0
      ? undefined
      : `The file system has features that are not known here: ${unknownFeatures.join(", ")}`;
  }

  /** An inode in use, or why there is none. */
  async #find(number: number): Promise<Inode | string> {
    return this.#unknown ?? readInode(this.#volume, number);
  }

  async #collect(wanted: WantedNames): Promise<Names> {
    const { directories } = await scanClaims(this.#volume, {
      wanted: new WantedBlocks([]),
      reverse: "all",
      thorough: false,
    });
    return collectNames(this.#volume, directories, wanted);
  }
}
