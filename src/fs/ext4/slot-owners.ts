/**
 * Slot owners: what the bytes of an inode table are: inodes in use, free ones, and filling, each by its own slot.
 *
 * A slot that cannot be read is told by the inode bitmap: that it is in use can be known even when its content is gone. Content that
 * a slot holds itself (inline data, the target of a short symbolic link) is told as the file's bytes.
 */
import { endOf, isPromise, type ByteRange } from "../../base/index.ts";
import { CORE_LENGTH, decodeInode, inlineKind, isInUse, isZero, type Inode } from "./inode.ts";
import { inlinePieces } from "./inode-map.ts";
import { slotsInUse } from "./inode-scan.ts";
import { placedAt, type OwnerDraft, type Segment } from "../owner-draft.ts";
import { draftOf, unknownDraft } from "../owner-texts.ts";
import { partialInode } from "./partial-slot.ts";
import { readableBytes } from "./read-inode.ts";
import type { BlockRead, Ext4Volume, StaticRun } from "./volume.ts";

/** Segments of the part of an inode table that a range covers; the range lies in the run. */
export async function slotSegments(
  volume: Ext4Volume,
  run: StaticRun,
  range: ByteRange,
): Promise<readonly Segment[]> {
  const { blockSize, inodeSize, inodesPerGroup } = volume.superblock;
  const group = volume.groups[run.group];
  if (group === undefined || group.source === "unknown") {
    return [
      { ...range, owners: [unknownDraft(`The descriptor of group ${run.group} is unreadable`)] },
    ];
  }
  const table = group.inodeTable * blockSize;
  const inUse = slotsInUse(volume, group);
  const segments: Segment[] = [];
  const reader = new SlotReader(volume);
  for (let at = range.offset; at < endOf(range);) {
    const index = Math.floor((at - table) / inodeSize);
    if (index >= inodesPerGroup) {
      segments.push({ offset: at, length: endOf(range) - at, owners: [draftOf("padding")] });
      break;
    }
    const start = table + index * inodeSize;
    const end = Math.min(endOf(range), start + inodeSize);
    const number = run.group * inodesPerGroup + index + 1;
    const unused = index >= inUse;
    const slot = { offset: at, length: end - at };
    for (const segment of await reader.segments(number, slot, { start, unused }))
      segments.push(segment);
    at = end;
  }
  return segments;
}

class SlotReader {
  readonly #volume: Ext4Volume;
  #block = -1;
  #read: BlockRead | undefined;

  constructor(volume: Ext4Volume) {
    this.#volume = volume;
  }

  async segments(
    number: number,
    range: ByteRange,
    slot: { start: number; unused: boolean },
  ): Promise<readonly Segment[]> {
    const { inode, owner } = await this.#owner(number, slot);
    const { offset, length } = range;
    const whole = { offset, length, owners: [placedAt(owner, offset - slot.start)] };
    if (inode === undefined)
      return [owner.kind === "unknown" ? { ...range, owners: [owner] } : whole];
    return withContent(whole, inode, slot.start);
  }

  async #owner(
    number: number,
    slot: { start: number; unused: boolean },
  ): Promise<{ inode?: Inode; owner: OwnerDraft }> {
    if (slot.unused) return { owner: draftOf("free-inode", { inode: number }) };
    const bit = this.#volume.inodeAllocated(number);
    const allocated = isPromise(bit) ? await bit : bit;
    const block = Math.floor(slot.start / this.#volume.superblock.blockSize);
    if (block !== this.#block) await this.#load(block);
    const inode = this.#decode(number, slot.start);
    if (inode === undefined) return { owner: unreadable(number, allocated) };
    if (inode.checksumOk === false && !isZero(inode.slot)) {
      if (allocated === false && inode.links === 0)
        return { owner: draftOf("free-inode", { inode: number }) };
      return {
        owner: draftOf("inode", {
          inode: number,
          note: "its checksum is wrong, so what it says is not believed",
        }),
      };
    }
    if (await isInUse(this.#volume, inode))
      return { inode, owner: draftOf("inode", { inode: number }) };
    const reserved = number < this.#volume.superblock.firstInode;
    return { owner: draftOf(reserved ? "reserved-inode" : "free-inode", { inode: number }) };
  }

  async #load(block: number): Promise<void> {
    const read = await this.#volume.readBlocks(block, 1);
    this.#read = read === undefined ? undefined : { bytes: read.bytes.slice(), bad: read.bad };
    this.#block = block;
  }

  /** The inode in a slot of the block that is loaded; `undefined` where missing bytes of the slot leave nothing to believe. */
  #decode(number: number, start: number): Inode | undefined {
    const { superblock } = this.#volume;
    const { blockSize, inodeSize } = superblock;
    const offset = start % blockSize;
    const read = this.#read;
    if (read === undefined || read.bytes.length < offset + inodeSize) return undefined;
    const readable = readableBytes(read.bad, offset, inodeSize);
    if (readable < CORE_LENGTH) return undefined;
    const inode = decodeInode(this.#volume, number, read.bytes.slice(offset, offset + inodeSize));
    if (readable === inodeSize) return inode;
    const partial = partialInode(superblock, inode, readable);
    return partial.partial && partial.checksumOk === false ? undefined : partial;
  }
}

function unreadable(number: number, allocated: boolean | undefined): OwnerDraft {
  if (allocated === true)
    return draftOf("inode", {
      inode: number,
      note: "it cannot be read, so what only it knew is hidden",
    });
  if (allocated === false) return draftOf("free-inode", { inode: number });
  return unknownDraft(
    `Inode ${number} cannot be read, and neither can the bitmap that says whether it is in use`,
  );
}

/** A segment of a slot, with the bytes of the file that stand in it told apart. */
function withContent(whole: Segment, inode: Inode, start: number): readonly Segment[] {
  const what = inlineKind(inode);
  if (what === undefined) return [whole];
  const out: Segment[] = [];
  let at = whole.offset;
  const upTo = (end: number): void => {
    const to = Math.min(end, endOf(whole));
    if (to > at)
      out.push({ offset: at, length: to - at, owners: [placedAt(whole.owners[0]!, at - start)] });
    at = Math.max(at, to);
  };
  for (const piece of inlinePieces(inode)) {
    if (piece.device === undefined) continue;
    upTo(piece.device);
    const end = Math.min(piece.device + piece.length, endOf(whole));
    if (end <= at) continue;
    const owner = draftOf(what, { inode: inode.number, at: piece.offset + (at - piece.device) });
    if (at >= piece.device) out.push({ offset: at, length: end - at, owners: [owner] });
    at = Math.max(at, end);
  }
  upTo(endOf(whole));
  return out;
}
