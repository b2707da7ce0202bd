/** edited-volume: an XFS volume in memory that is changed by hand, with its checksums made right, to have what no mkfs.xfs here can make. Blocks of 4096, inodes of 512. */
import { openFileMap, type FileMap, type OwnedRange } from "../../../../src/fs/index.ts";
import { memorySource } from "../../ext4/scratch.ts";
import { mend } from "./mend.ts";

const BLOCK = 4096;
const SECTOR = 512;
const SLOT = 512;

/** A parent pointer to be added. */
export interface NewParent {
  readonly parent: number;
  readonly name: string;
  /** In a block of attributes rather than in the inode. @default false */
  readonly leaf?: boolean;
  /** @default the directory's */
  readonly generation?: number;
}

/** A volume that can be changed. */
export class EditedVolume {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Takes a copy of an image. */
  static open(bytes: Uint8Array): Promise<EditedVolume> {
    return Promise.resolve(new EditedVolume(bytes.slice()));
  }

  /** A new map of it as it is now. */
  map(): Promise<FileMap> {
    return openFileMap(memorySource(this.bytes));
  }

  /** The inode of a path. */
  async inodeOf(path: string): Promise<number> {
    return (await (await this.map()).lookup(path))!;
  }

  /** Names of files in a directory that have content, ascending. */
  async namesIn(folder: string): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { paths, size } of (await this.map()).files())
      for (const path of paths)
        if (path.startsWith(`${folder}/`) && size > 0) names.push(path.slice(folder.length + 1));
    return names.sort();
  }

  /** Owners of every byte. */
  async ownersOfAll(): Promise<readonly OwnedRange[]> {
    const map = await this.map();
    return map.owners([{ offset: 0, length: map.size }]);
  }

  /** A block's number as the media has it. */
  blockNumber(block: number): bigint {
    const agBlocks = this.#view.getUint32(84);
    const ag = Math.floor(block / agBlocks);
    return (BigInt(ag) << BigInt(this.bytes[124]!)) + BigInt(block - ag * agBlocks);
  }

  /** Sets an incompatible feature in every superblock. */
  setFeature(bit: number): void {
    const agSize = this.#view.getUint32(84) * BLOCK;
    for (let ag = 0; ag < this.#view.getUint32(88); ag += 1) {
      const at = ag * agSize;
      this.#view.setUint32(at + 216, (this.#view.getUint32(at + 216) | (1 << bit)) >>> 0);
      mend(this.bytes.subarray(at, at + SECTOR), 224);
    }
  }

  /** Changes an inode. */
  editInode(inode: number, edit: (view: DataView) => void): void {
    const at = this.#placeOf(inode);
    edit(new DataView(this.bytes.buffer, this.bytes.byteOffset + at, SLOT));
    mend(this.bytes.subarray(at, at + SLOT), 100);
  }

  #placeOf(inode: number): number {
    const bits = this.bytes[124]! + 3;
    const ag = Math.floor(inode / 2 ** bits);
    return ag * this.#view.getUint32(84) * BLOCK + (inode - ag * 2 ** bits) * SLOT;
  }

  /** Gives an inode one parent pointer as its only attribute. */
  async addParent(
    inode: number,
    { parent, name, leaf = false, generation }: NewParent,
  ): Promise<void> {
    const map = await this.map();
    const value = Buffer.alloc(12);
    value.writeBigUInt64BE(BigInt(parent));
    value.writeUInt32BE(generation ?? (await map.info(parent))!.generation, 8);
    const block = leaf ? await this.#freeBlock() : 0;
    if (leaf) this.#makeLeaf(block, { inode, name, value });
    this.editInode(inode, (view) => {
      // 200 bytes for the data's map; the attributes are behind.
      const fork = 176 + 200;
      view.setUint8(82, 25);
      view.setUint8(83, leaf ? 2 : 1);
      view.setUint16(80, leaf ? 1 : 0);
      if (leaf) {
        view.setBigUint64(fork, this.blockNumber(block) >> 43n);
        view.setBigUint64(fork + 8, ((this.blockNumber(block) << 21n) | 1n) & (2n ** 64n - 1n));
        return;
      }
      const text = Buffer.from(name);
      view.setUint16(fork, 4 + 3 + text.length + 12);
      view.setUint16(fork + 2, 0x100);
      view.setUint8(fork + 4, text.length);
      view.setUint8(fork + 5, 12);
      view.setUint8(fork + 6, 8);
      for (const [at, byte] of [...text, ...value].entries()) view.setUint8(fork + 7 + at, byte);
    });
  }

  /** A block that nobody has: the free space does not know of what it is used for then. */
  async #freeBlock(): Promise<number> {
    const free = (await this.ownersOfAll()).find(({ owners }) => owners[0]!.what === "free-space")!;
    return Math.ceil(free.offset / BLOCK);
  }

  #makeLeaf(
    block: number,
    {
      inode,
      name,
      value,
    }: { readonly inode: number; readonly name: string; readonly value: Buffer },
  ): void {
    const bytes = this.bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
    const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK);
    const text = Buffer.from(name);
    const at = BLOCK - 64;
    bytes.fill(0);
    view.setUint16(8, 0x3bee);
    view.setBigUint64(16, BigInt(block) * 8n);
    bytes.set(this.bytes.subarray(32, 48), 32);
    view.setBigUint64(48, BigInt(inode));
    view.setUint16(56, 1);
    view.setUint16(84, at);
    view.setUint8(86, 1 | 8);
    view.setUint16(at, value.length);
    view.setUint8(at + 2, text.length);
    bytes.set(text, at + 3);
    bytes.set(value, at + 3 + text.length);
    mend(bytes, 12);
  }

  /** Makes a block the node of a tree in an inode, one level above its leaves. */
  makeTreeBlock(
    block: number,
    {
      magic,
      keys,
      inode,
      children,
    }: {
      readonly magic: number;
      readonly keys: number;
      readonly inode: number;
      readonly children: readonly number[];
    },
  ): void {
    const bytes = this.bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
    const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK);
    bytes.fill(0);
    view.setUint32(0, magic);
    view.setUint16(4, 1);
    view.setUint16(6, children.length);
    view.setBigUint64(24, BigInt(block) * 8n);
    bytes.set(this.bytes.subarray(32, 48), 40);
    view.setBigUint64(56, BigInt(inode));
    const pointers = 72 + Math.floor((BLOCK - 72) / (keys + 8)) * keys;
    for (const [index, child] of children.entries())
      view.setBigUint64(pointers + index * 8, this.blockNumber(child));
    mend(bytes, 64);
  }
}
