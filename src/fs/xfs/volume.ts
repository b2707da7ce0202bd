/** XfsVolume: an open XFS volume as blocks with a geometry, and the list of what is wrong in it. */
import type { MaybePromise } from "../../base/index.ts";
import type { BlockRead, BlockReader } from "../block-reader.ts";
import type { JournalState, Problem } from "../file-map.ts";
import { Problems } from "../problems.ts";
import type { Superblock } from "./superblock.ts";

/** What a volume is made of. */
export interface VolumeParts {
  readonly superblock: Superblock;
  /** Whether the superblock is the first, and whole; a copy is as old as mkfs or growfs. */
  readonly certain: boolean;
  readonly reader: BlockReader;
  readonly problems: Problems;
}

/** An open volume. */
export class XfsVolume {
  readonly superblock: Superblock;
  /** Whether the superblock is the first, and whole: else it may lack what was told to the first one since. */
  readonly certain: boolean;
  journal: JournalState = { status: "none", pending: false, sequence: 0, message: "" };
  readonly #reader: BlockReader;
  readonly #problems: Problems;
  readonly #told = new Set<string>();

  constructor({ superblock, certain, reader, problems }: VolumeParts) {
    this.superblock = superblock;
    this.certain = certain;
    this.#reader = reader;
    this.#problems = problems;
  }

  /** Bytes that the source has: fewer than the superblock says where it was cut off. */
  get size(): number {
    return this.#reader.source.size;
  }

  /** AGs of which at least the beginning is there. */
  get agsThere(): number {
    const { agCount, agBlocks, blockSize } = this.superblock;
    return Math.min(agCount, Math.ceil(this.size / (agBlocks * blockSize)));
  }

  /** What was met so far that is wrong. */
  get problems(): readonly Problem[] {
    return this.#problems.list;
  }

  /** Adds a problem; the same one is told once. */
  report(problem: Problem): void {
    const key = `${problem.range?.offset} ${problem.message}`;
    if (this.#told.has(key)) return;
    if (this.#told.size < 4096) this.#told.add(key);
    this.#problems.add(problem);
  }

  /** Bytes of the volume: a view that is valid until the next read. `once`: they will not be asked for again. */
  readBytes(offset: number, length: number, once = false): MaybePromise<BlockRead> {
    return this.#reader.readBytes(offset, length, once);
  }

  /** Blocks by their plain number; the caller has checked that they are of the volume. */
  readBlocks(block: number, count: number, once = false): MaybePromise<BlockRead> {
    const { blockSize } = this.superblock;
    return this.#reader.readBytes(block * blockSize, count * blockSize, once);
  }
}
