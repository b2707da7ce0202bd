/** Claim owners: what a claimed run of blocks is to who claims it, exact to the byte. */
import type { ByteRange } from "../../base/index.ts";
import type { ClaimPiece, ClaimTeller } from "../claim-sweep.ts";
import type { OwnerWhat } from "../file-map.ts";
import { placedAt, type OwnerDraft } from "../owner-draft.ts";
import { draftOf, unknownDraft } from "../owner-texts.ts";
import type { Claim, Claimant } from "./claims.ts";
import { INDEX_OFFSET } from "./directory.ts";
import { inodeNumber } from "./geometry.ts";
import type { MetadataKind } from "./inode.ts";
import { isFree } from "./inode-walk.ts";
import type { Superblock } from "./superblock.ts";
import type { XfsVolume } from "./volume.ts";

/** What claims are told by. */
export interface Claimants {
  readonly claimants: ReadonlyMap<number, Claimant>;
  /** Of claims of the reverse map: also inodes that cannot be read, as directories name them. */
  readonly reverse: ReadonlyMap<number, Claimant>;
  /** What is said beside, of all of them. */
  readonly note?: string;
}

/** Tells what claims are. */
export class ClaimOwners implements ClaimTeller<Claim> {
  readonly #superblock: Superblock;
  readonly #known: Claimants;
  /** Inodes whose content the file system keeps for itself. */
  readonly #specials: ReadonlyMap<number, OwnerWhat>;

  constructor({ superblock }: XfsVolume, known: Claimants) {
    this.#superblock = superblock;
    this.#known = known;
    this.#specials = specialsOf(superblock);
  }

  /** Why a claim is not believed; `undefined` where it is. */
  doubt(claim: Claim): string | undefined {
    if (claim.inode === 0) return undefined;
    const claimant = this.#claimant(claim);
    if (claimant === undefined)
      return `The reverse map gives it to inode ${claim.inode}, which cannot be read`;
    return claimant.doubt === undefined
      ? undefined
      : `Inode ${claim.inode} claims it, but is not believed: ${claimant.doubt}`;
  }

  /** Pieces of the part of a claim at `place`, in order; their lengths add up to it. */
  pieces(claim: Claim, place: ByteRange): readonly ClaimPiece[] {
    const { length } = place;
    const doubt = this.doubt(claim);
    if (doubt !== undefined) return [{ length, owner: unknownDraft(doubt) }];
    const within = place.offset - claim.block * this.#superblock.blockSize;
    const { role, inode } = claim;
    if (role === "inodes") return this.#slots(claim, within, length);
    if (inode === 0) return [{ length, owner: this.#draft(role as OwnerWhat, undefined) }];
    const at = claim.logical * this.#superblock.blockSize + within;
    if (role === "attributes") return [{ length, owner: this.#draft("xattr-block", inode, at) }];
    if (role === "attribute-tree") return [{ length, owner: this.#draft("xattr-block", inode) }];
    const special = this.#special(inode);
    if (role === "data-tree") {
      const what = special !== undefined && special.endsWith("-tree") ? special : "extent-tree";
      return [{ length, owner: this.#draft(what, inode) }];
    }
    if (special !== undefined) return [{ length, owner: this.#draft(special, inode, at) }];
    if (role === "unwritten") return [{ length, owner: this.#draft("unwritten", inode, at) }];
    return this.#content(claim, at, length);
  }

  #claimant({ inode, reverse }: Claim): Claimant | undefined {
    return (reverse === true ? this.#known.reverse : this.#known.claimants).get(inode);
  }

  /** What the content of an inode is to the file system itself; `undefined` of all that is somebody's. */
  #special(inode: number): OwnerWhat | undefined {
    const metadata = this.#known.claimants.get(inode)?.metadata;
    return metadata === undefined ? this.#specials.get(inode) : METADATA[metadata];
  }

  #draft(what: OwnerWhat, inode: number | undefined, at?: number): OwnerDraft {
    return draftOf(what, {
      ...(inode === undefined ? {} : { inode }),
      ...(at === undefined ? {} : { at }),
      ...(this.#known.note === undefined ? {} : { note: this.#known.note }),
    });
  }

  #content(claim: Claim, at: number, length: number): readonly ClaimPiece[] {
    const { inode } = claim;
    const { kind, size } = this.#claimant(claim)!;
    if (kind === "directory") {
      const what = at < INDEX_OFFSET ? "directory-block" : "directory-index";
      return [{ length, owner: this.#draft(what, inode, at) }];
    }
    if (kind === "symlink") return [{ length, owner: this.#draft("symlink-target", inode, at) }];
    const inside = Math.max(0, Math.min(length, size - at));
    const pieces: ClaimPiece[] = [];
    if (inside > 0) pieces.push({ length: inside, owner: this.#draft("data", inode, at) });
    if (inside < length)
      pieces.push({
        length: length - inside,
        owner: this.#draft("file-slack", inode, at + inside),
      });
    return pieces;
  }

  /** Slots of a chunk; blocks that hold several chunks are claimed by each, and what is of another one is left to it. */
  #slots(claim: Claim, within: number, length: number): readonly ClaimPiece[] {
    const { inodeSize, inodesPerBlock } = this.#superblock;
    const chunk = claim.chunk!;
    const base = chunk.first - (chunk.first % inodesPerBlock);
    const pieces: ClaimPiece[] = [];
    for (let done = 0; done < length;) {
      const slot = Math.floor((within + done) / inodeSize);
      const end = Math.min(length, (slot + 1) * inodeSize - within);
      const index = base + slot - chunk.first;
      const number = inodeNumber(this.#superblock, chunk.ag, base + slot);
      pieces.push({
        length: end - done,
        owner: placedAt(this.#slot(claim, number, index), (within + done) % inodeSize),
      });
      done = end;
    }
    return pieces;
  }

  #slot({ chunk }: Claim, number: number, index: number): OwnerDraft {
    const free = index < 0 || index >= chunk!.count ? true : isFree(chunk!, index);
    if (free === true) return this.#draft("unused-inode", number);
    if (free === false) return this.#draft("inode", number);
    return draftOf("inode-table", {
      inode: number,
      note: "the inode tree that says whether it is in use is hidden",
    });
  }
}

/** What inodes of metadata hold; directories of them are directories. */
const METADATA: Readonly<Record<MetadataKind, OwnerWhat | undefined>> = {
  unknown: "reserved-inode",
  directory: undefined,
  "user-quota": "quota",
  "group-quota": "quota",
  "project-quota": "quota",
  "realtime-bitmap": "realtime-bitmap",
  "realtime-summary": "realtime-summary",
  "realtime-reverse-map": "reverse-map-tree",
  "realtime-reference-counts": "reference-count-tree",
};

function specialsOf({
  quotaInodes,
  realtimeBitmap,
  realtimeSummary,
}: Superblock): ReadonlyMap<number, OwnerWhat> {
  const specials = new Map<number, OwnerWhat>();
  for (const inode of quotaInodes) specials.set(inode, "quota");
  if (realtimeBitmap !== undefined) specials.set(realtimeBitmap, "realtime-bitmap");
  if (realtimeSummary !== undefined) specials.set(realtimeSummary, "realtime-summary");
  return specials;
}
