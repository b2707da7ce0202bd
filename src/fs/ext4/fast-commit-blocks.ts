/**
 * ChangedBlocks: the blocks that a replay of fast commits changes, in memory, over a volume as it is after the ordinary journal.
 *
 * Nothing is written to the volume. Memory is bounded: hostile fast commits may name every inode there is.
 */
import type { Overlay, OverlayEntry } from "../block-reader.ts";
import type { Ext4Volume } from "./volume.ts";

/** Most bytes of changed blocks that are kept. */
const CHANGED_MAX = 64 * 1024 * 1024;

/** Why fast commits cannot be applied at all. Never leaves the replay. */
export class Unreplayable extends Error {}

/** Why one inode cannot be told after replay; the others can. Never leaves the replay. */
export class Unsettled extends Error {
  readonly inode: number;

  constructor(inode: number, why: string) {
    super(why);
    this.inode = inode;
  }
}

/** Changed blocks by their number. */
export class ChangedBlocks {
  readonly #volume: Ext4Volume;
  readonly #blocks = new Map<number, Uint8Array>();

  constructor(volume: Ext4Volume) {
    this.#volume = volume;
  }

  /** All that was written. */
  get blocks(): ReadonlyMap<number, Uint8Array> {
    return this.#blocks;
  }

  /** A copy of a block as it is now; `undefined` where a byte of it is bad, or it is outside the volume. */
  async read(block: number): Promise<Uint8Array | undefined> {
    const changed = this.#blocks.get(block);
    if (changed !== undefined) return changed.slice();
    const read = await this.#volume.readBlocks(block, 1);
    return read === undefined || read.bad.length > 0 ? undefined : read.bytes.slice();
  }

  /** Keeps newer content of a block; the bytes are no longer the caller's. */
  write(block: number, bytes: Uint8Array): void {
    if (!this.#blocks.has(block) && (this.#blocks.size + 1) * bytes.length > CHANGED_MAX)
      throw new Unreplayable("they change more blocks than are kept in memory");
    this.#blocks.set(block, bytes);
  }
}

/** Newer content of blocks, over that of an ordinary journal. */
export class FastCommitOverlay implements Overlay {
  readonly empty: boolean = false;
  readonly #below: Overlay;
  readonly #blocks: ReadonlyMap<number, Uint8Array>;

  constructor(below: Overlay, blocks: ReadonlyMap<number, Uint8Array>) {
    this.#below = below;
    this.#blocks = blocks;
  }

  find(block: number): OverlayEntry | undefined {
    const bytes = this.#blocks.get(block);
    return bytes === undefined ? this.#below.find(block) : { kind: "bytes", bytes };
  }
}
