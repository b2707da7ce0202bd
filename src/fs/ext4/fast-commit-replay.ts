/**
 * replayFastCommits(): applies fast commits in memory, as Linux (fs/ext4/fast_commit.c, ext4_fc_replay_*) and e2fsck (e2fsck/journal.c, ext4_fc_handle_*) do.
 *
 * What can go wrong: a replay allocates. A new directory, a full directory, an extent tree that grows get blocks where the one who replays finds room,
 * and Linux and e2fsck do not always do the same: Linux frees an inode whose last name goes, e2fsck finds it later and puts it into lost+found. Such an inode
 * cannot be told, and is named with the reason; everything else is applied. Where the changes make no sense at all, none is applied.
 *
 * A directory's own times and its number of links stay as they are: a replay sets them to its own present.
 */
import type { FastCommitChange } from "./fast-commit.ts";
import { FastCommitBitmaps } from "./fast-commit-bitmaps.ts";
import { ChangedBlocks, Unreplayable, Unsettled } from "./fast-commit-blocks.ts";
import { FastCommitDirectory } from "./fast-commit-directory.ts";
import { readTree, type FastCommitTree, type RangeChange } from "./fast-commit-extents.ts";
import { FastCommitInodes, type FastCommitInode } from "./fast-commit-inodes.ts";
import { hasFeature } from "./features.ts";
import type { Geometry } from "./geometry.ts";
import { CORE_LENGTH, INODE_FLAGS, inodeSeed, MAP_OFFSET, MODE, ROOT_INODE } from "./inode.ts";
import { LOGICAL_END } from "./extent-tree.ts";
import { StaticMap } from "./static-map.ts";
import type { Ext4Volume } from "./volume.ts";

const GENERATION_OFFSET = 100;
const HEADER = 12;
const NAME_MAX = 255;
/** Most bytes of directories that are read. */
const DIRECTORIES_MAX = 64 * 1024 * 1024;
/** Most extents that all changes may pass by: hostile fast commits name one leaf again and again. */
const STEPS_MAX = 50_000_000;

/** File types of directory entries by the type bits of a mode (kernel: ext4_type_by_mode). */
const ENTRY_TYPES: ReadonlyMap<number, number> = new Map([
  [MODE.file, 1],
  [MODE.directory, 2],
  [MODE.character, 3],
  [MODE.block, 4],
  [MODE.fifo, 5],
  [MODE.socket, 6],
  [MODE.symlink, 7],
]);

/** What a replay gives. */
export interface FastCommitReplay {
  /** Newer content of blocks. */
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  /** Inodes that cannot be told, and why. */
  readonly unsettled: ReadonlyMap<number, string>;
}

/**
 * Applies changes.
 *
 * @param volume as it is after the ordinary journal
 * @returns why none can be applied, as text
 */
export async function replayFastCommits(
  volume: Ext4Volume,
  geometry: Geometry,
  changes: readonly FastCommitChange[],
): Promise<FastCommitReplay | string> {
  const replay = new Replay(volume, geometry);
  try {
    for (const change of changes) await replay.apply(change);
    await replay.finish();
  } catch (error) {
    if (error instanceof Unreplayable) return error.message;
    throw error;
  }
  return { blocks: replay.blocks.blocks, unsettled: replay.unsettled };
}

class Replay {
  readonly blocks: ChangedBlocks;
  readonly unsettled = new Map<number, string>();
  readonly #volume: Ext4Volume;
  readonly #inodes: FastCommitInodes;
  readonly #bitmaps: FastCommitBitmaps;
  readonly #static: StaticMap;
  readonly #directories = new Map<number, FastCommitDirectory>();
  readonly #lostDirectories = new Map<number, string>();
  /** Inodes that an INODE change makes used. */
  readonly #written = new Set<number>();
  /** Inodes whose last name is gone: no later change of them is sure. */
  readonly #gone = new Set<number>();
  #directoryBytes = 0;
  #steps = 0;

  constructor(volume: Ext4Volume, geometry: Geometry) {
    this.blocks = new ChangedBlocks(volume);
    this.#volume = volume;
    this.#inodes = new FastCommitInodes(volume, this.blocks);
    this.#bitmaps = new FastCommitBitmaps({ volume, geometry, blocks: this.blocks });
    this.#static = new StaticMap(volume);
  }

  async apply(change: FastCommitChange): Promise<void> {
    try {
      if (change.kind === "inode") await this.#inode(change.inode, change.raw);
      else if (change.kind === "add" || change.kind === "delete") await this.#range(change);
      else if (change.kind === "unlink") await this.#unlink(change);
      else await this.#link(change);
    } catch (error) {
      if (!(error instanceof Unsettled)) throw error;
      if (!this.unsettled.has(error.inode)) this.unsettled.set(error.inode, error.message);
    }
  }

  /** Bitmaps, and everything that is kept until the end. */
  async finish(): Promise<void> {
    for (const inode of this.#inodes.values()) {
      const { tree, number } = inode;
      if (tree === undefined || this.unsettled.has(number)) continue;
      const why = await tree.store(inode.map, this.#treeRules(inode));
      if (why === undefined) inode.changed = true;
      else this.unsettled.set(number, why);
    }
    const settled = [...this.#inodes.values()].filter(
      ({ tree, number }) => tree !== undefined && !this.unsettled.has(number),
    );
    for (const { before } of settled)
      for (const run of before) await this.#bitmaps.mark(run, false);
    for (const { tree } of settled)
      for (const run of (tree as FastCommitTree).runs()) await this.#bitmaps.mark(run, true);
    for (const number of this.#written) {
      const inode = await this.#inodes.get(number);
      await this.#bitmaps.markInode(number, inode.type === MODE.directory);
    }
    await this.#bitmaps.finish();
    await this.#inodes.flush();
  }

  /** Kernel: ext4_fc_replay_inode. All of the raw inode but its map, which stays. */
  async #inode(number: number, raw: Uint8Array): Promise<void> {
    this.#checkNumber(number);
    const inode = await this.#inodes.get(number);
    if (this.#gone.has(number)) return;
    const { inodeSize } = this.#volume.superblock;
    if (raw.length < CORE_LENGTH || raw.length > inodeSize)
      throw new Unreplayable(`they hold inode ${number} in ${raw.length} bytes`);
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const extra = inodeSize > CORE_LENGTH ? view.getUint16(CORE_LENGTH, true) : 0;
    if (raw.length > CORE_LENGTH && (extra < 4 || CORE_LENGTH + extra > inodeSize))
      throw new Unreplayable(`they hold inode ${number} with ${extra} extra bytes`);
    if (view.getUint16(26, true) === 0) {
      this.#gone.add(number);
      throw new Unsettled(number, "it has no name any more, but was written");
    }
    const wasUsed = inode.inUse && (await this.#isUsed(number));
    const flags = view.getUint32(32, true);
    if (wasUsed && ((flags ^ inode.flags) & (INODE_FLAGS.extents | INODE_FLAGS.inlineData)) !== 0)
      throw new Unsettled(number, "it is mapped in another way than before");
    inode.slot.set(raw.subarray(0, MAP_OFFSET));
    inode.slot.set(raw.subarray(GENERATION_OFFSET), GENERATION_OFFSET);
    inode.changed = true;
    this.#written.add(number);
    this.#settleMap(inode, wasUsed);
  }

  /** What the 60 bytes of the map become. */
  #settleMap(inode: FastCommitInode, wasUsed: boolean): void {
    const { number, type } = inode;
    const view = new DataView(inode.map.buffer, inode.map.byteOffset, inode.map.byteLength);
    if ((inode.flags & INODE_FLAGS.inlineData) !== 0)
      throw new Unsettled(
        number,
        "its content is in the inode, of which replays copy less or more",
      );
    if (inode.hasExtents) {
      if (view.getUint16(0, true) !== 0xf30a) {
        inode.map.fill(0, 0, HEADER);
        view.setUint16(0, 0xf30a, true);
        view.setUint16(4, 4, true);
      } else if (!wasUsed && inode.tree === undefined && view.getUint16(2, true) > 0)
        throw new Unsettled(number, "its slot still holds the map of a file that was deleted");
    } else if (type === MODE.file || type === MODE.directory || type === MODE.symlink)
      throw new Unsettled(number, "its map is not made of extents");
    if (!wasUsed && type === MODE.directory)
      throw new Unsettled(number, "it is a new directory, for which a replay finds a block");
    if (!wasUsed && type === MODE.symlink)
      throw new Unsettled(number, "it is a new symbolic link, which replays treat differently");
  }

  async #isUsed(number: number): Promise<boolean> {
    if (this.#written.has(number)) return true;
    const state = await this.#volume.inodeAllocated(number);
    if (state === undefined) throw new Unsettled(number, "whether it was in use before is unknown");
    return state;
  }

  /** Kernel: ext4_fc_replay_add_range, ext4_fc_replay_del_range. */
  async #range(change: FastCommitChange & { readonly kind: "add" | "delete" }): Promise<void> {
    const { inode: number, logical, count } = change;
    this.#checkNumber(number);
    if (this.unsettled.has(number)) return;
    const inode = await this.#inodes.get(number);
    if (count === 0 || logical + count > LOGICAL_END)
      throw new Unreplayable(`they change ${count} blocks of inode ${number} from ${logical} on`);
    if (change.kind === "add" && !this.#static.mayOwn(change.block, count))
      throw new Unreplayable(
        `they give inode ${number} the blocks ${change.block} to ${change.block + count - 1}, which no file may own`,
      );
    if (!inode.inUse || !inode.hasExtents || inode.type !== MODE.file)
      throw new Unsettled(number, "it has no extents that a replay could change");
    const tree = await this.#tree(inode);
    const range: RangeChange =
      change.kind === "add"
        ? { logical, count, block: change.block, unwritten: change.unwritten }
        : { logical, count };
    const why = tree.change(range);
    if (why !== undefined) throw new Unsettled(number, why);
  }

  async #tree(inode: FastCommitInode): Promise<FastCommitTree> {
    if (inode.tree === undefined) {
      const tree = await readTree(inode.map, this.#treeRules(inode));
      if (typeof tree === "string") throw new Unsettled(inode.number, tree);
      inode.tree = tree;
      inode.before = [...tree.runs()];
    }
    this.#steps += inode.before.length + 4;
    if (this.#steps > STEPS_MAX) throw new Unreplayable("they hold more changes than are applied");
    return inode.tree;
  }

  #treeRules(inode: FastCommitInode): Parameters<typeof readTree>[1] {
    return {
      blocks: this.blocks,
      seed: this.#seed(inode),
      mayOwn: (block, count) => this.#static.mayOwn(block, count),
    };
  }

  #seed(inode: FastCommitInode): number | undefined {
    const { superblock } = this.#volume;
    return hasFeature(superblock, "metadata_csum")
      ? inodeSeed(superblock, inode.number, inode.generation)
      : undefined;
  }

  /** Kernel: ext4_fc_replay_unlink. */
  async #unlink(change: NameChange): Promise<void> {
    const { inode: number, parent, name } = change;
    this.#checkNumber(number);
    checkName(name);
    const inode = await this.#inodes.get(number);
    // A file that came and went within one commit has left this one trace; Linux does not find it either.
    if (!inode.inUse || this.#gone.has(number)) return;
    if (inode.type === MODE.directory) {
      await this.#removeName(parent, name);
      this.#gone.add(number);
      throw new Unsettled(
        number,
        "the directory was removed, of which replays leave different parts",
      );
    }
    const directory = await this.#parentOf(change, inode);
    const found = directory.find(name);
    if (found === undefined) return;
    if (found !== number) {
      if (!this.unsettled.has(parent))
        this.unsettled.set(parent, `a name in it is of inode ${found}, and not of ${number}`);
      throw new Unsettled(number, "its name belongs to another inode");
    }
    await this.#removeName(parent, name);
    if (inode.links > 1) {
      inode.links -= 1;
      return;
    }
    this.#gone.add(number);
    throw new Unsettled(number, "its last name was removed: Linux frees it, e2fsck keeps it");
  }

  /** Kernel: ext4_fc_replay_link and ext4_fc_replay_create. */
  async #link(change: NameChange): Promise<void> {
    const { inode: number, parent, name, kind } = change;
    this.#checkNumber(number);
    checkName(name);
    const inode = await this.#inodes.get(number);
    if (this.#gone.has(number)) return;
    if (!inode.inUse) {
      if (this.unsettled.has(number)) return;
      throw new Unreplayable(`they name inode ${number}, which is not in use`);
    }
    // Linux gives a symbolic link its name, e2fsck 1.47 does not.
    if (inode.type === MODE.symlink) throw new Unsettled(number, "it is a symbolic link");
    const directory = await this.#directory(parent);
    const found = directory.find(name);
    if (found !== undefined && found !== number) {
      if (!this.unsettled.has(parent))
        this.unsettled.set(parent, `a name in it is of inode ${found} already`);
      throw new Unsettled(number, "its new name belongs to another inode");
    }
    if (found === undefined) {
      const type = ENTRY_TYPES.get(inode.type) ?? 0;
      const why = await directory.add({ name, inode: number, type });
      if (why !== undefined) throw new Unsettled(parent, why);
      if (kind === "link") inode.links += 1;
    }
    if (kind === "create") inode.links = inode.type === MODE.directory ? inode.links : 1;
  }

  /** The directory that a name is removed from; where it cannot be told, an inode that may have no other name cannot either. */
  async #parentOf(change: NameChange, inode: FastCommitInode): Promise<FastCommitDirectory> {
    try {
      return await this.#directory(change.parent);
    } catch (error) {
      if (error instanceof Unsettled && inode.links <= 1 && !this.unsettled.has(inode.number)) {
        this.#gone.add(inode.number);
        this.unsettled.set(
          inode.number,
          "its last name was removed from a directory that cannot be told",
        );
      }
      throw error;
    }
  }

  async #removeName(parent: number, name: Uint8Array): Promise<void> {
    const why = await (await this.#directory(parent)).remove(name);
    if (why !== undefined) throw new Unsettled(parent, why);
  }

  async #directory(number: number): Promise<FastCommitDirectory> {
    const known = this.#directories.get(number);
    if (known !== undefined) return known;
    const why = this.#lostDirectories.get(number);
    if (why !== undefined) throw new Unsettled(number, why);
    try {
      const directory = await this.#readDirectory(number);
      this.#directories.set(number, directory);
      return directory;
    } catch (error) {
      if (error instanceof Unsettled) this.#lostDirectories.set(number, error.message);
      throw error;
    }
  }

  async #readDirectory(number: number): Promise<FastCommitDirectory> {
    this.#checkNumber(number);
    const inode = await this.#inodes.get(number);
    const { superblock } = this.#volume;
    if (!inode.inUse || inode.type !== MODE.directory)
      throw new Unreplayable(`they name entries of inode ${number}, which is no directory`);
    if (this.#written.has(number)) throw new Unsettled(number, "it is a new directory");
    if (!inode.hasExtents) throw new Unsettled(number, "its names are not in extents");
    if ((inode.flags & (INODE_FLAGS.encrypt | INODE_FLAGS.casefold)) !== 0)
      throw new Unsettled(number, "its names are encrypted, or compared without case");
    const tree = await readTree(inode.map, this.#treeRules(inode));
    if (typeof tree === "string") throw new Unsettled(number, tree);
    this.#directoryBytes += inode.sizeLow;
    if (this.#directoryBytes > DIRECTORIES_MAX)
      throw new Unsettled(number, "it is larger than directories that are changed in memory");
    const directory = new FastCommitDirectory({
      blocks: this.blocks,
      blockSize: superblock.blockSize,
      inodeCount: superblock.inodeCount,
      filetype: hasFeature(superblock, "filetype"),
      seed: this.#seed(inode),
      indexed: (inode.flags & INODE_FLAGS.index) !== 0,
    });
    const why = await directory.load(tree.extents(), inode.sizeLow);
    if (why !== undefined) throw new Unsettled(number, why);
    return directory;
  }

  #checkNumber(number: number): void {
    const { firstInode, inodeCount } = this.#volume.superblock;
    if (number > inodeCount || (number < firstInode && number !== ROOT_INODE))
      throw new Unreplayable(`they change inode ${number}, which no fast commit may`);
  }
}

function checkName(name: Uint8Array): void {
  if (name.length === 0 || name.length > NAME_MAX || name.includes(0) || name.includes(0x2f))
    throw new Unreplayable(`they hold a name of ${name.length} bytes that no file can have`);
}

interface NameChange {
  readonly kind: "create" | "link" | "unlink";
  readonly parent: number;
  readonly inode: number;
  readonly name: Uint8Array;
}
