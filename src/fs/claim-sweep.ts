/**
 * Claim sweep: goes over asked ranges and claims together, both ascending, and cuts the ranges where the set of owners changes.
 *
 * Blocks may be shared (xattr blocks, corruption): each piece has all its owners, at most `OWNERS_MAX`, so that a hostile image in which
 * every inode claims every block does not take quadratic memory.
 */
import { endOf, type ByteRange } from "../base/index.ts";
import { shifted, type OwnerDraft, type Segment } from "./owner-draft.ts";
import { unknownDraft } from "./owner-texts.ts";

/** A run of blocks that somebody says are its own. */
export interface BlockClaim {
  readonly inode: number;
  readonly block: number;
  readonly count: number;
  /** First logical block. */
  readonly logical: number;
  /** What for. */
  readonly role: string;
}

/** A piece of a claim: `length` bytes from the piece's start, or what is left of it after the pieces before. */
export interface ClaimPiece {
  readonly length: number;
  readonly owner: OwnerDraft;
}

/** Tells what claims are. */
export interface ClaimTeller<C extends BlockClaim> {
  /** Pieces of the part of a claim in a range of the volume, in order; their lengths add up to it. */
  pieces(claim: C, place: ByteRange): readonly ClaimPiece[];
  /** Why a claim is not believed; `undefined` where it is. */
  doubt(claim: C): string | undefined;
}

/** Owners that are told of one piece. */
export const OWNERS_MAX = 64;

/** Who claims a block of the same cluster. */
export interface Neighbour {
  readonly inode: number;
  /** Why the claim is not believed; `undefined` where it is. */
  readonly doubt: string | undefined;
}

/** A sweep; `pieces` must be asked with ascending ranges. */
export class ClaimSweep<C extends BlockClaim> {
  readonly #blockSize: number;
  readonly #owners: ClaimTeller<C>;
  readonly #claims: readonly C[];
  /** Largest end, in blocks, of all claims up to each one: where a search backwards may stop. */
  readonly #reach: Float64Array;
  readonly #active: C[] = [];
  #next = 0;

  constructor(blockSize: number, claims: readonly C[], owners: ClaimTeller<C>) {
    this.#blockSize = blockSize;
    this.#owners = owners;
    this.#claims = distinct(claims);
    this.#reach = new Float64Array(this.#claims.length);
    let reach = 0;
    for (const [index, claim] of this.#claims.entries()) {
      reach = Math.max(reach, claim.block + claim.count);
      this.#reach[index] = reach;
    }
  }

  /** Pieces of a range, without gaps; those that nobody claims have no owners. */
  *pieces(range: ByteRange): Generator<Segment> {
    for (let at = range.offset; at < endOf(range);) {
      this.#advance(at);
      const end = this.#pieceEnd(at, endOf(range));
      if (this.#active.length === 0) yield { offset: at, length: end - at, owners: [] };
      else {
        // Not `yield*`: it costs more than all else for the one piece that there nearly always is.
        for (const piece of this.#claimed({ offset: at, length: end - at })) yield piece;
      }
      at = end;
    }
  }

  /** A claim on a block of `[block, end)`, if there is one: whose neighbour an unclaimed block of a cluster is. A believed one, if it can be. */
  neighbour(block: number, end: number): Neighbour | undefined {
    let doubted: Neighbour | undefined;
    let low = 0;
    let high = this.#claims.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#claims[middle]!.block >= end) high = middle;
      else low = middle + 1;
    }
    for (
      let index = low - 1;
      index >= 0 && index >= low - OWNERS_MAX && this.#reach[index]! > block;
      index -= 1
    ) {
      const claim = this.#claims[index]!;
      if (claim.block + claim.count <= block) continue;
      const neighbour = { inode: claim.inode, doubt: this.#owners.doubt(claim) };
      if (neighbour.doubt === undefined) return neighbour;
      doubted = neighbour;
    }
    return doubted;
  }

  /** Makes `active` the claims on the byte `at`. */
  #advance(at: number): void {
    const block = Math.floor(at / this.#blockSize);
    let kept = 0;
    for (const claim of this.#active)
      if (claim.block + claim.count > block) this.#active[kept++] = claim;
    this.#active.length = kept;
    for (
      ;
      this.#next < this.#claims.length && this.#claims[this.#next]!.block <= block;
      this.#next += 1
    ) {
      const claim = this.#claims[this.#next]!;
      if (claim.block + claim.count > block && this.#active.length <= OWNERS_MAX)
        this.#active.push(claim);
    }
  }

  #pieceEnd(at: number, limit: number): number {
    let end = limit;
    for (const claim of this.#active)
      end = Math.min(end, (claim.block + claim.count) * this.#blockSize);
    const next = this.#claims[this.#next];
    return next === undefined ? end : Math.max(at + 1, Math.min(end, next.block * this.#blockSize));
  }

  /** Segments of a piece with one claim: nearly all. */
  #claimedOnce(claim: C, range: ByteRange): Segment[] {
    const segments: Segment[] = [];
    let offset = range.offset;
    for (const { length, owner } of this.#owners.pieces(claim, range)) {
      segments.push({ offset, length, owners: [owner] });
      offset += length;
    }
    return segments;
  }

  #claimed(range: ByteRange): Segment[] {
    if (this.#active.length === 1) return this.#claimedOnce(this.#active[0]!, range);
    const lists = this.#active
      .slice(0, OWNERS_MAX)
      .map((claim) => this.#owners.pieces(claim, range));
    const cuts = new Set<number>([range.length]);
    for (const list of lists) {
      let at = 0;
      for (const piece of list) cuts.add((at += piece.length));
    }
    const places = lists.map(() => ({ index: 0, start: 0 }));
    const segments: Segment[] = [];
    let from = 0;
    for (const to of [...cuts].sort((one, other) => one - other)) {
      const owners: OwnerDraft[] = [];
      for (const [which, list] of lists.entries()) {
        const place = places[which]!;
        while (place.start + list[place.index]!.length <= from) {
          place.start += list[place.index]!.length;
          place.index += 1;
        }
        owners.push(shifted(list[place.index]!.owner, from - place.start));
      }
      if (this.#active.length > OWNERS_MAX)
        owners.push(unknownDraft(`More than ${OWNERS_MAX} inodes claim it: only some are told`));
      segments.push({ offset: range.offset + from, length: to - from, owners });
      from = to;
    }
    return segments;
  }
}

/** Claims by ascending block, then inode; the same claim twice is one. */
function distinct<C extends BlockClaim>(claims: readonly C[]): C[] {
  const sorted = [...claims].sort(
    (one, other) =>
      one.block - other.block || one.inode - other.inode || one.logical - other.logical,
  );
  return sorted.filter((claim, index) => {
    const before = sorted[index - 1];
    return (
      before === undefined ||
      before.block !== claim.block ||
      before.inode !== claim.inode ||
      before.logical !== claim.logical ||
      before.role !== claim.role ||
      before.count !== claim.count
    );
  });
}
