/**
 * Claim owners: what a claimed run of blocks is to the inode that claims it, exact to the byte.
 *
 * A claim is believed only of an inode whose checksum is right. Content ends at the size: what is allocated behind is slack, or the
 * verity tree, which begins at the next 64 KiB (kernel: fs/ext4/verity.c).
 */
import { isPromise, roundUp, type ByteRange } from "../../base/index.ts";
import type { ClaimPiece, ClaimTeller } from "../claim-sweep.ts";
import type { Claim, ScanResult } from "./claims.ts";
import { hashTreeBlocks } from "./directory.ts";
import { hasFeature } from "./features.ts";
import {
  BAD_BLOCKS_INODE,
  INODE_FLAGS,
  kindOf,
  RESIZE_INODE,
  ROOT_INODE,
  type Inode,
} from "./inode.ts";
import { journalAreas, type JournalAreas } from "./journal-areas.ts";
import { mapInode } from "./inode-map.ts";
import { readDirectoryBlock } from "./lookup.ts";
import type { OwnerDraft } from "../owner-draft.ts";
import { draftOf, unknownDraft } from "../owner-texts.ts";
import { whyUnbelieved } from "./partial-slot.ts";
import type { StaticMap } from "./static-map.ts";
import type { Superblock } from "./superblock.ts";
import type { Ext4Volume } from "./volume.ts";
import { xattrParents } from "./xattr-parents.ts";

const VERITY_ALIGNMENT = 65536;

/** What the content of an inode is that the file system keeps for itself. */
type SpecialUse =
  | "journal"
  | "resize-inode"
  | "bad-blocks"
  | "quota"
  | "orphan-file"
  | "reserved-inode";

/** Tells what claims are. Made once for a scan, because directories' trees and the journal's areas are read ahead. */
export class ClaimOwners implements ClaimTeller<Claim> {
  readonly #volume: Ext4Volume;
  readonly #scan: ScanResult;
  /** Uses of the inodes that the superblock or their number gives one. */
  readonly #specials: ReadonlyMap<number, SpecialUse>;
  readonly #trees = new Map<number, ReadonlySet<number>>();
  readonly #freeInodes = new Set<number>();
  #parents: ReadonlyMap<number, readonly number[]> = new Map();
  #journal: JournalAreas | undefined;

  constructor(volume: Ext4Volume, scan: ScanResult) {
    this.#volume = volume;
    this.#scan = scan;
    this.#specials = specialsOf(volume.superblock);
  }

  /** Reads ahead what the claims need. */
  static async open(
    volume: Ext4Volume,
    statics: StaticMap,
    scan: ScanResult,
  ): Promise<ClaimOwners> {
    const owners = new ClaimOwners(volume, scan);
    const values = [...scan.claimants.values()].filter(
      (inode) => (inode.flags & INODE_FLAGS.eaInode) !== 0,
    );
    if (values.length > 0)
      owners.#parents = await xattrParents(volume, new Set(values.map(({ number }) => number)));
    for (const inode of scan.claimants.values()) {
      if (inode.number >= volume.superblock.firstInode) {
        const bit = volume.inodeAllocated(inode.number);
        if ((isPromise(bit) ? await bit : bit) === false) owners.#freeInodes.add(inode.number);
      }
      if (inode.checksumOk === false) continue;
      if (inode.number === volume.superblock.journalInode)
        owners.#journal = await journalAreas(volume, statics, inode);
      if (kindOf(inode) === "directory" && (inode.flags & INODE_FLAGS.index) !== 0) {
        owners.#trees.set(inode.number, await treeOf(volume, statics, inode));
      }
    }
    return owners;
  }

  /** Pieces of the part of a claim at `place`, in order; their lengths add up to it. */
  pieces(claim: Claim, place: ByteRange): readonly ClaimPiece[] {
    const { blockSize } = this.#volume.superblock;
    const { length } = place;
    const doubt = this.doubt(claim);
    if (doubt !== undefined) return [{ length, owner: unknownDraft(doubt) }];
    const inode = this.#scan.claimants.get(claim.inode)!;
    const within = place.offset - claim.block * blockSize;
    if (claim.role === "xattr")
      return [{ length, owner: this.#draft("xattr-block", inode.number, within) }];
    const special = this.#special(inode.number);
    if (claim.role === "extents" || claim.role === "blocks") {
      const what =
        special === "resize-inode"
          ? special
          : claim.role === "extents"
            ? "extent-tree"
            : "block-map";
      return [{ length, owner: this.#draft(what, inode.number) }];
    }
    const at = claim.logical * blockSize + within;
    if (special === "journal") return this.#journalPieces(inode.number, at, length);
    if (special !== undefined) return [{ length, owner: this.#draft(special, inode.number, at) }];
    if (claim.role === "unwritten")
      return [{ length, owner: this.#draft("unwritten", inode.number, at) }];
    return this.#content(inode, at, length);
  }

  #draft(what: Parameters<typeof draftOf>[0], inode: number, at?: number): OwnerDraft {
    const rest = at === undefined ? { inode } : { inode, at };
    const parents = this.#parents.get(inode);
    if (parents !== undefined) {
      return draftOf(what, {
        ...rest,
        note: `it belongs to inode${parents.length > 1 ? "s" : ""} ${parents.join(", ")}`,
      });
    }
    if (!this.#freeInodes.has(inode)) return draftOf(what, rest);
    return draftOf(what, {
      ...rest,
      note: `its inode ${inode} is free by the inode bitmap, so the two contradict each other`,
    });
  }

  /** Why a claim is not believed; `undefined` where it is. */
  doubt(claim: Claim): string | undefined {
    const { inode: number } = claim;
    if (claim.role === "promised")
      return `Fast commits in the journal, not replayed, give it to inode ${number}`;
    const inode = this.#scan.claimants.get(number)!;
    if (inode.checksumOk === false)
      return `Inode ${number} claims it, but is not believed: ${whyUnbelieved(inode)}`;
    if (!this.#volume.unsettled.inodes.has(number)) return undefined;
    return `Inode ${number} claims it, but the journal holds fast commits that change this inode and are not replayed`;
  }

  #special(inode: number): SpecialUse | undefined {
    const use = this.#specials.get(inode);
    if (use !== undefined || inode === ROOT_INODE) return use;
    return inode < this.#volume.superblock.firstInode ? "reserved-inode" : undefined;
  }

  #content(inode: Inode, at: number, length: number): readonly ClaimPiece[] {
    const number = inode.number;
    const inside = Math.max(0, Math.min(length, inode.size - at));
    if (inside === length) return this.#inside(inode, at, inside);
    const pieces = inside > 0 ? [...this.#inside(inode, at, inside)] : [];
    const from = at + inside;
    const verity =
      (inode.flags & INODE_FLAGS.verity) !== 0
        ? roundUp(inode.size, VERITY_ALIGNMENT)
        : Number.MAX_SAFE_INTEGER;
    const slack = Math.max(0, Math.min(length - inside, verity - from));
    if (slack > 0) pieces.push({ length: slack, owner: this.#draft("file-slack", number, from) });
    const rest = length - inside - slack;
    if (rest > 0) pieces.push({ length: rest, owner: this.#draft("verity", number, from + slack) });
    return pieces;
  }

  #inside(inode: Inode, at: number, length: number): readonly ClaimPiece[] {
    const { number } = inode;
    if ((inode.flags & INODE_FLAGS.eaInode) !== 0)
      return [{ length, owner: this.#draft("xattr-inode", number, at) }];
    const kind = kindOf(inode);
    if (kind === "symlink") return [{ length, owner: this.#draft("symlink-target", number, at) }];
    if (kind !== "directory") return [{ length, owner: this.#draft("data", number, at) }];
    const tree = this.#trees.get(number);
    const { blockSize } = this.#volume.superblock;
    const pieces: ClaimPiece[] = [];
    for (let done = 0; done < length;) {
      const block = Math.floor((at + done) / blockSize);
      const step = Math.min(length - done, (block + 1) * blockSize - at - done);
      const what = tree?.has(block) === true ? "directory-index" : "directory-block";
      pieces.push({ length: step, owner: this.#draft(what, number, at + done) });
      done += step;
    }
    return pieces;
  }

  #journalPieces(inode: number, at: number, length: number): readonly ClaimPiece[] {
    const { blockSize } = this.#volume.superblock;
    const fast = this.#journal?.fastCommit ?? {
      start: Number.MAX_SAFE_INTEGER,
      end: Number.MAX_SAFE_INTEGER,
    };
    const cuts = [blockSize, fast.start, fast.end].map((cut) =>
      Math.min(Math.max(cut, at), at + length),
    );
    const bounds = [at, ...cuts.sort((one, other) => one - other), at + length];
    const pieces: ClaimPiece[] = [];
    for (let index = 0; index + 1 < bounds.length; index += 1) {
      const start = bounds[index]!;
      const size = bounds[index + 1]! - start;
      if (size === 0) continue;
      const inFast = start >= fast.start && start < fast.end;
      const what =
        start < blockSize ? "journal-superblock" : inFast ? "journal-fast-commit" : "journal-log";
      pieces.push({ length: size, owner: this.#draft(what, inode, start) });
    }
    return pieces;
  }
}

async function treeOf(
  volume: Ext4Volume,
  statics: StaticMap,
  inode: Inode,
): Promise<ReadonlySet<number>> {
  const map = await mapInode(volume, statics, inode);
  const tree = await hashTreeBlocks(
    async (logical) => (await readDirectoryBlock(volume, inode, { map, logical }))?.bytes,
  );
  return tree.blocks;
}

/** Inodes with a use of their own; what is named last counts. The root has none, whatever a superblock says. */
function specialsOf(superblock: Superblock): ReadonlyMap<number, SpecialUse> {
  const specials = new Map<number, SpecialUse>();
  if (hasFeature(superblock, "orphan_file"))
    specials.set(superblock.orphanFileInode, "orphan-file");
  if (hasFeature(superblock, "quota"))
    for (const inode of superblock.quotaInodes) specials.set(inode, "quota");
  if (hasFeature(superblock, "has_journal")) specials.set(superblock.journalInode, "journal");
  specials.delete(ROOT_INODE);
  specials.set(RESIZE_INODE, "resize-inode");
  specials.set(BAD_BLOCKS_INODE, "bad-blocks");
  return specials;
}
