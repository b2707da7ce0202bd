/** Fixture: one small ext4 image in memory, what its map says of it unharmed, and the checksums that a mutation can mend. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { crc32c } from "../../src/base/index.ts";
import { openFileMap, type OwnedRange } from "../../src/fs/index.ts";
import { MutatedSource, wholeImage } from "../support/mutated-source.ts";

const FOLDER = join(import.meta.dirname, "../fs/ext4/fixtures");
const SUPERBLOCK = 1024;
const INCOMPAT_CSUM_SEED = 0x2000;
const INCOMPAT_64BIT = 0x80;
const RO_COMPAT_METADATA_CSUM = 0x400;

/** A block that holds metadata or directory content: where mutations aim. */
export interface Aim {
  readonly block: number;
  readonly what: string;
  readonly inode: number | undefined;
}

/** An image and its truth. All images have blocks of 1 KiB. */
export class Fixture {
  readonly name: string;
  /** Mutated in place, and put back after each run. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly blockSize: number = 1024;
  /** Owners of the whole volume, unharmed. */
  truth: readonly OwnedRange[] = [];
  /** Paths of every inode, unharmed. */
  readonly paths: Map<number, ReadonlySet<string>> = new Map();
  readonly aims: Aim[] = [];
  /** Where each inode's slot is. */
  readonly slots: Map<number, number> = new Map();
  /** State of the journal as JSON, unharmed. */
  journal: string = "none";

  /** Whether metadata_csum protects the image. */
  readonly checksummed: boolean;
  readonly inodeSize: number;
  readonly #descriptorSize: number;
  readonly #seed: number;

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const incompat = this.view.getUint32(SUPERBLOCK + 0x60, true);
    this.checksummed =
      (this.view.getUint32(SUPERBLOCK + 0x64, true) & RO_COMPAT_METADATA_CSUM) !== 0;
    this.inodeSize = this.view.getUint16(SUPERBLOCK + 0x58, true);
    this.#descriptorSize = (incompat & INCOMPAT_64BIT) === 0 ? 32 : 64;
    const stored = (incompat & INCOMPAT_CSUM_SEED) !== 0;
    const uuid = bytes.subarray(SUPERBLOCK + 0x68, SUPERBLOCK + 0x78);
    this.#seed = stored ? this.view.getUint32(SUPERBLOCK + 0x270, true) : crc32c(uuid, 0xffff_ffff);
  }

  #inodeSeed(inode: number): number {
    const slot = this.slots.get(inode) ?? 0;
    return crc32c(
      this.bytes.subarray(slot + 0x64, slot + 0x68),
      crc32c(little32(inode), this.#seed),
    );
  }

  /** Makes the checksum of the structure in a block right again, where it is one that this class knows. */
  mend(aim: Aim, at: number): void {
    const start = aim.block * this.blockSize;
    const block = this.bytes.subarray(start, start + this.blockSize);
    if (aim.what === "superblock")
      this.view.setUint32(start + 0x3fc, crc32c(block.subarray(0, 0x3fc), 0xffff_ffff), true);
    else if (aim.what === "group-descriptors") this.#mendDescriptor(start, at);
    else if (aim.what === "inode") this.#mendInode(at);
    else if (aim.what === "extent-tree") this.#mendExtents(start, aim.inode ?? 0);
    else if (aim.what === "directory-block") {
      this.view.setUint32(
        start + this.blockSize - 4,
        crc32c(block.subarray(0, this.blockSize - 12), this.#inodeSeed(aim.inode ?? 0)),
        true,
      );
    } else if (aim.what === "xattr-block") {
      this.view.setUint32(start + 0x10, 0, true);
      this.view.setUint32(
        start + 0x10,
        crc32c(block, crc32c(little32(0), crc32c(little32(aim.block), this.#seed))),
        true,
      );
    }
  }

  #mendDescriptor(start: number, at: number): void {
    const size = this.#descriptorSize;
    const from = start + Math.floor((at - start) / size) * size;
    const group = (from - start) / size;
    this.view.setUint16(from + 0x1e, 0, true);
    this.view.setUint16(
      from + 0x1e,
      crc32c(this.bytes.subarray(from, from + size), crc32c(little32(group), this.#seed)) & 0xffff,
      true,
    );
  }

  #mendInode(at: number): void {
    for (const [inode, slot] of this.slots) {
      if (at < slot || at >= slot + this.inodeSize) continue;
      const wide = this.inodeSize > 128 && this.view.getUint16(slot + 0x80, true) >= 4;
      this.view.setUint16(slot + 0x7c, 0, true);
      if (wide) this.view.setUint16(slot + 0x82, 0, true);
      const checksum = crc32c(
        this.bytes.subarray(slot, slot + this.inodeSize),
        this.#inodeSeed(inode),
      );
      this.view.setUint16(slot + 0x7c, checksum & 0xffff, true);
      if (wide) this.view.setUint16(slot + 0x82, checksum >>> 16, true);
      return;
    }
  }

  #mendExtents(start: number, inode: number): void {
    const tail = 12 + 12 * this.view.getUint16(start + 4, true);
    if (tail + 4 > this.blockSize) return;
    this.view.setUint32(
      start + tail,
      crc32c(this.bytes.subarray(start, start + tail), this.#inodeSeed(inode)),
      true,
    );
  }
}

function little32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Reads the truth of an unharmed image from its own map, which the interop tests hold against debugfs. */
async function learn(fixture: Fixture): Promise<void> {
  const map = await openFileMap(new MutatedSource(wholeImage(fixture.bytes)));
  fixture.truth = await map.owners([{ offset: 0, length: map.size }]);
  fixture.journal = JSON.stringify(map.journal);
  for await (const file of map.files()) fixture.paths.set(file.inode, new Set(file.paths));
  const seen = new Set<number>();
  for (const range of fixture.truth) {
    const owner = range.owners[0];
    if (
      owner === undefined ||
      owner.kind === "free" ||
      owner.kind === "slack" ||
      owner.what === "data"
    )
      continue;
    if (owner.inode !== undefined && isSlotPart(owner.what) && !fixture.slots.has(owner.inode)) {
      fixture.slots.set(owner.inode, range.offset - (range.offset % fixture.inodeSize));
    }
    const what = isSlotPart(owner.what) ? "inode" : owner.what;
    for (
      let block = Math.floor(range.offset / 1024);
      block * 1024 < range.offset + range.length;
      block += 1
    ) {
      if (!seen.has(block)) fixture.aims.push({ block, what, inode: owner.inode });
      seen.add(block);
    }
  }
}

function isSlotPart(what: string): boolean {
  return (
    what === "inode" ||
    what === "inline-data" ||
    what === "inline-directory" ||
    what === "reserved-inode"
  );
}

/** All images of the corpus, with their truth. */
export async function loadFixtures(): Promise<Fixture[]> {
  const fixtures: Fixture[] = [];
  for (const name of readdirSync(FOLDER)
    .filter((entry) => entry.endsWith(".img.gz"))
    .sort()) {
    const fixture = new Fixture(
      name.replace(".img.gz", ""),
      new Uint8Array(gunzipSync(readFileSync(join(FOLDER, name)))),
    );
    await learn(fixture);
    fixtures.push(fixture);
  }
  return fixtures;
}
