/**
 * FastCommitDirectory: the names of one directory while fast commits add and remove some (kernel: ext4_add_entry, ext4_delete_entry).
 *
 * An entry is added where there is room. Of an indexed directory the hash says which leaf it goes to, and a full leaf is split: so it counts as having room only if every leaf
 * has. Without room a replay adds a block where it finds one, and the directory cannot be told.
 */
import { crc32c } from "../../base/index.ts";
import { directoryChecksumOk, hashTreeBlocks, readEntries } from "./directory.ts";
import type { ChangedBlocks } from "./fast-commit-blocks.ts";
import type { FastCommitExtent } from "./fast-commit-extents.ts";

const HEADER = 8;
const TAIL = 12;
/** Longest block whose entries have plain lengths. */
const BLOCK_MAX = 32768;

/** What a directory is read by. */
export interface DirectoryRules {
  readonly blocks: ChangedBlocks;
  readonly blockSize: number;
  readonly inodeCount: number;
  readonly filetype: boolean;
  /** `inodeSeed` of the directory, where its blocks have checksums. */
  readonly seed: number | undefined;
  readonly indexed: boolean;
}

/** One entry to add. */
export interface NewEntry {
  readonly name: Uint8Array;
  readonly inode: number;
  /** File type of the entry (EXT4_FT_*). */
  readonly type: number;
}

interface NameBlock {
  readonly block: number;
  /** Longest entry that can be added. */
  room: number;
}

interface Place {
  readonly at: number;
  readonly inode: number;
}

/** Names are compared as bytes, kept one character each. */
function keyOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString("latin1");
}

function entryBytes(nameLength: number): number {
  return (HEADER + nameLength + 3) & ~3;
}

/** The names of one directory. */
export class FastCommitDirectory {
  readonly #rules: DirectoryRules;
  readonly #blocks: NameBlock[] = [];
  readonly #names = new Map<string, { readonly place: NameBlock; readonly inode: number }>();

  constructor(rules: DirectoryRules) {
    this.#rules = rules;
  }

  /** Reads all of its blocks. @returns why it cannot be told */
  async load(extents: Iterable<FastCommitExtent>, size: number): Promise<string | undefined> {
    const { blockSize, blocks } = this.#rules;
    if (blockSize > BLOCK_MAX) return "its blocks are longer than is supported";
    const physical = new Map<number, number>();
    const count = Math.ceil(size / blockSize);
    for (const extent of extents) {
      if (extent.unwritten) return "it has blocks that are not written";
      for (let at = 0; at < extent.count && extent.logical + at < count; at += 1)
        physical.set(extent.logical + at, extent.block + at);
    }
    if (physical.size < count) return "it has holes";
    const skipped = this.#rules.indexed ? await this.#hashTree(physical) : new Set<number>();
    if (skipped === undefined) return "its hash tree cannot be read";
    for (let logical = 0; logical < count; logical += 1) {
      const block = physical.get(logical) as number;
      const bytes = await blocks.read(block);
      if (bytes === undefined) return `its block ${block} is unreadable`;
      const why = this.#take(block, bytes, skipped.has(logical));
      if (why !== undefined) return why;
    }
    return undefined;
  }

  /** Inode of a name. */
  find(name: Uint8Array): number | undefined {
    return this.#names.get(keyOf(name))?.inode;
  }

  /** Adds a name that is not there. @returns why it cannot be told */
  async add(entry: NewEntry): Promise<string | undefined> {
    const need = entryBytes(entry.name.length);
    const place = this.#blocks.find((block) => block.room >= need);
    const full = this.#rules.indexed && this.#blocks.some((block) => block.room < need);
    if (place === undefined || full) return "it has no room for a name, so a replay adds a block";
    const bytes = await this.#read(place);
    const at = roomFor(bytes, this.#end(), need);
    if (at === undefined) return "it has no room for a name, so a replay adds a block";
    write(bytes, at, { ...entry, filetype: this.#rules.filetype });
    this.#write(place, bytes);
    this.#names.set(keyOf(entry.name), { place, inode: entry.inode });
    return undefined;
  }

  /** Removes a name that is there. */
  async remove(name: Uint8Array): Promise<string | undefined> {
    const key = keyOf(name);
    const found = this.#names.get(key);
    if (found === undefined) return undefined;
    const bytes = await this.#read(found.place);
    const view = viewOf(bytes);
    let previous: number | undefined;
    for (let at = 0; at < this.#end(); at += view.getUint16(at + 4, true)) {
      if (isEntry(bytes, at, name)) {
        const length = view.getUint16(at + 4, true);
        if (previous === undefined) view.setUint32(at, 0, true);
        else view.setUint16(previous + 4, view.getUint16(previous + 4, true) + length, true);
        this.#write(found.place, bytes);
        this.#names.delete(key);
        return undefined;
      }
      previous = at;
    }
    return "a name in it is gone";
  }

  async #hashTree(physical: ReadonlyMap<number, number>): Promise<ReadonlySet<number> | undefined> {
    const { blocks, whole } = await hashTreeBlocks(async (logical) => {
      const block = physical.get(logical);
      const bytes = block === undefined ? undefined : await this.#rules.blocks.read(block);
      return bytes === undefined || !this.#checksumOk(bytes) ? undefined : bytes;
    });
    return whole ? blocks : undefined;
  }

  #checksumOk(bytes: Uint8Array): boolean {
    const { seed } = this.#rules;
    return seed === undefined || directoryChecksumOk(bytes, seed);
  }

  /** End of the entries of a block: with checksums the tail is none of them. */
  #end(): number {
    return this.#rules.blockSize - (this.#rules.seed === undefined ? 0 : TAIL);
  }

  #take(block: number, bytes: Uint8Array, index: boolean): string | undefined {
    if (!this.#checksumOk(bytes)) return `its block ${block} has a wrong checksum`;
    const place: NameBlock = { block, room: 0 };
    const why = readEntries(bytes, this.#rules, (entry) => {
      const name = bytes.subarray(entry.nameStart, entry.nameStart + entry.nameLength);
      this.#names.set(keyOf(name), { place, inode: entry.inode });
    });
    if (why !== undefined) return `its block ${block} is broken: ${why}`;
    if (index) return undefined;
    place.room = mostRoom(bytes, this.#end());
    this.#blocks.push(place);
    return undefined;
  }

  async #read(place: NameBlock): Promise<Uint8Array> {
    return (await this.#rules.blocks.read(place.block)) as Uint8Array;
  }

  #write(place: NameBlock, bytes: Uint8Array): void {
    place.room = mostRoom(bytes, this.#end());
    const { seed } = this.#rules;
    const end = this.#end();
    if (seed !== undefined)
      viewOf(bytes).setUint32(end + HEADER, crc32c(bytes.subarray(0, end), seed), true);
    this.#rules.blocks.write(place.block, bytes);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Every entry of a block that `readEntries` found whole: where it stands, and how much room is in it. */
function* rooms(bytes: Uint8Array, end: number): Generator<Place & { readonly room: number }> {
  const view = viewOf(bytes);
  for (let at = 0; at < end;) {
    const length = view.getUint16(at + 4, true);
    const inode = view.getUint32(at, true);
    const taken = inode === 0 ? 0 : entryBytes(bytes[at + 6] as number);
    yield { at, inode, room: Math.max(0, length - taken) };
    at += length;
  }
}

function mostRoom(bytes: Uint8Array, end: number): number {
  let most = 0;
  for (const { room } of rooms(bytes, end)) most = Math.max(most, room);
  return most;
}

function roomFor(bytes: Uint8Array, end: number, need: number): Place | undefined {
  for (const place of rooms(bytes, end)) if (place.room >= need) return place;
  return undefined;
}

function isEntry(bytes: Uint8Array, at: number, name: Uint8Array): boolean {
  if (viewOf(bytes).getUint32(at, true) === 0 || bytes[at + 6] !== name.length) return false;
  return name.every((byte, index) => bytes[at + HEADER + index] === byte);
}

function write(
  bytes: Uint8Array,
  { at, inode }: Place,
  entry: NewEntry & { readonly filetype: boolean },
): void {
  const view = viewOf(bytes);
  const length = view.getUint16(at + 4, true);
  const taken = inode === 0 ? 0 : entryBytes(bytes[at + 6] as number);
  const start = at + taken;
  if (taken > 0) view.setUint16(at + 4, taken, true);
  view.setUint32(start, entry.inode, true);
  view.setUint16(start + 4, length - taken, true);
  bytes[start + 6] = entry.name.length;
  bytes[start + 7] = entry.filetype ? entry.type : 0;
  bytes.set(entry.name, start + HEADER);
}
