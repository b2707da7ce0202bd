/**
 * owners: whose bytes are these ranges?
 *
 * Order: what the geometry knows needs no reading. For the rest the trees of the AGs and the maps of all inodes are gone through once. What
 * nobody claims, or only who is not believed, is told by the reverse map, where one is: but only what hidden metadata explains; a claim that the
 * inode itself denies is a contradiction. Who shares a block, and is hidden, is told by it as well.
 */
import type { ByteRange } from "../../base/index.ts";
import { ClaimSweep } from "../claim-sweep.ts";
import type { OwnedRange } from "../file-map.ts";
import { NameTable } from "../name-table.ts";
import {
  normalizeRanges,
  SegmentList,
  toOwnedRanges,
  sharedDraft,
  shifted,
  type OwnerDraft,
  type Segment,
} from "../owner-draft.ts";
import { draftOf, unknownDraft } from "../owner-texts.ts";
import { WantedBlocks } from "../wanted-blocks.ts";
import { ClaimOwners, type Claimants } from "./claim-owners.ts";
import { claimantOf, scanClaims, type Claim, type Claimant, type ScanResult } from "./claims.ts";
import { DirectoryTable } from "./directory-table.ts";
import { inodeNumber } from "./geometry.ts";
import { readInode } from "./inode.ts";
import { isFree } from "./inode-walk.ts";
import { collectNames, type Names } from "./paths.ts";
import { staticParts, type Part } from "./static-owners.ts";
import type { XfsVolume } from "./volume.ts";

/** Which source of knowledge goes first; both give the same answer where both can. */
export type OwnerSource = "inodes" | "reverse-map";

/** Reasons that are told of one unknown block. */
const REASONS_TOLD = 3;

/** Owners of every byte of the ranges. @throws {TypeError} if a range is no range */
export async function ownersOf(
  volume: XfsVolume,
  ranges: Iterable<ByteRange>,
  source: OwnerSource = "inodes",
): Promise<readonly OwnedRange[]> {
  const { superblock } = volume;
  const { inside, past } = normalizeRanges(ranges, superblock.blockSize * superblock.blockCount);
  const segments = new SegmentList();
  let pathsOf: (inode: number) => readonly string[] = () => [];
  if (superblock.unknownFeatures.length > 0) {
    const why = `The file system has features that are not known here: ${superblock.unknownFeatures.join(", ")}`;
    for (const range of inside) segments.add({ ...range, owners: [unknownDraft(why)] });
  } else {
    const parts: Part[] = [];
    for (const range of inside) for (const part of staticParts(superblock, range)) parts.push(part);
    let told = await tellAll(volume, parts, { source, thorough: false });
    // Only where something is unknown, and nothing says why, does it matter which inodes are wrong that claim nothing asked.
    if (told.lacksReason) told = await tellAll(volume, parts, { source, thorough: true });
    for (const segment of told.segments) segments.add(segment);
    pathsOf = (inode) => told.names.table.pathsOf(inode);
  }
  for (const range of past) segments.add({ ...range, owners: [draftOf("unpartitioned")] });
  return toOwnedRanges(segments.segments, pathsOf);
}

interface Told {
  readonly segments: readonly Segment[];
  readonly names: Names;
  /** Whether something is unknown, and the scan was too quick to see why. */
  readonly lacksReason: boolean;
}

async function tellAll(
  volume: XfsVolume,
  parts: readonly Part[],
  options: { readonly source: OwnerSource; readonly thorough: boolean },
): Promise<Told> {
  const teller = await Teller.open(volume, parts, options);
  const segments = new SegmentList();
  for (const part of parts) teller.tell(part, segments);
  const { names, lacksReason } = teller;
  return { segments: segments.segments, names, lacksReason };
}

class Teller {
  readonly #volume: XfsVolume;
  readonly #scan: ScanResult;
  readonly #claims: ClaimSweep<Claim>;
  readonly #reverse: ClaimSweep<Claim>;
  /** What the reverse map says of inodes that do not tell everything themselves; `undefined` where there are none. */
  readonly #hidden: ClaimSweep<Claim> | undefined;
  readonly #denied: ReadonlySet<number>;
  readonly names: Names;
  lacksReason = false;

  constructor(volume: XfsVolume, scan: ScanResult, known: Known) {
    const { blockSize } = volume.superblock;
    this.#volume = volume;
    this.#scan = scan;
    this.#denied = known.denied;
    this.names = known.names;
    this.#claims = new ClaimSweep(blockSize, known.claims, new ClaimOwners(volume, known));
    const note = "told by the reverse map, because metadata that says so itself is hidden";
    const noted = new ClaimOwners(volume, { ...known, note });
    this.#reverse = new ClaimSweep(blockSize, scan.reverse, noted);
    const hidden = scan.reverse.filter(({ inode }) => inode !== 0 && !known.denied.has(inode));
    if (hidden.length > 0) this.#hidden = new ClaimSweep(blockSize, hidden, noted);
  }

  static async open(
    volume: XfsVolume,
    parts: readonly Part[],
    { source, thorough }: { readonly source: OwnerSource; readonly thorough: boolean },
  ): Promise<Teller> {
    const { blockSize } = volume.superblock;
    const open = parts.filter(({ owner }) => owner === undefined);
    const wanted = new WantedBlocks(
      open.map(({ offset, length }) => {
        const block = Math.floor(offset / blockSize);
        return { block, count: Math.ceil((offset + length) / blockSize) - block };
      }),
    );
    if (open.length === 0) return new Teller(volume, nothing(volume), nobody(volume));
    const reverse = source === "inodes" ? "unclaimed" : "all";
    const scan = await scanClaims(volume, { wanted, reverse, thorough });
    return new Teller(volume, scan, await knownOf(volume, scan, { source, wanted }));
  }

  tell(part: Part, segments: SegmentList): void {
    if (part.owner !== undefined) {
      segments.add({ offset: part.offset, length: part.length, owners: [part.owner] });
      return;
    }
    for (const piece of this.#claims.pieces(part)) {
      if (piece.owners.every(({ kind }) => kind === "unknown")) this.#unclaimed(piece, segments);
      else if (this.#hidden === undefined)
        segments.add({ ...piece, owners: settled(this.#volume, piece.owners) });
      else this.#shared(piece, segments);
    }
  }

  /** What is claimed, with those who share it and are hidden. */
  #shared(claimed: Segment, segments: SegmentList): void {
    for (const piece of this.#hidden!.pieces(claimed)) {
      const owners = claimed.owners.map((owner) => shifted(owner, piece.offset - claimed.offset));
      for (const owner of piece.owners) {
        const known = owners.some(({ inode, at }) => inode === owner.inode && at === owner.at);
        if (!known && owner.kind !== "unknown") owners.push(owner);
      }
      segments.add({ ...piece, owners: settled(this.#volume, owners) });
    }
  }

  /** What nobody claims who is believed; `doubts` are the claims of those who are not. */
  #unclaimed(doubts: Segment, segments: SegmentList): void {
    for (const piece of this.#reverse.pieces(doubts)) {
      const denied = piece.owners.find(
        ({ inode }) => inode !== undefined && this.#denied.has(inode),
      );
      if (doubts.owners.length > 0 && piece.owners.every(({ kind }) => kind === "unknown"))
        segments.add({ ...piece, owners: doubts.owners });
      else if (piece.owners.length === 0)
        segments.add({ ...piece, owners: [unknownDraft(this.#whyUnknown())] });
      else if (denied === undefined)
        segments.add({ ...piece, owners: settled(this.#volume, piece.owners) });
      else {
        const why = `The reverse map gives it to inode ${denied.inode}, whose own map does not hold it: the two contradict each other`;
        segments.add({ ...piece, owners: [unknownDraft(why)] });
      }
    }
  }

  #whyUnknown(): string {
    const { reasons, thorough } = this.#scan;
    if (!thorough && reasons.length === 0) this.lacksReason = true;
    const state = "Nothing that can be read claims it";
    if (reasons.length === 0)
      return `${state}, and it is not free: the file system is inconsistent`;
    const told = reasons.slice(0, REASONS_TOLD).join("; ");
    const more = reasons.length - REASONS_TOLD;
    return more > 0 ? `${state}: ${told}; and ${more} more things are hidden` : `${state}: ${told}`;
  }
}

function nothing(volume: XfsVolume): ScanResult {
  return {
    claims: [],
    claimants: new Map(),
    reverse: [],
    reverseWhole: new Set(),
    partial: new Set(),
    directories: new DirectoryTable(volume),
    reasons: [],
    thorough: true,
  };
}

function nobody(volume: XfsVolume): Known {
  const names = { table: new NameTable(volume.superblock.rootInode ?? -1), kinds: new Map() };
  return { claims: [], claimants: new Map(), reverse: new Map(), denied: new Set(), names };
}

interface Known extends Claimants {
  readonly claims: readonly Claim[];
  /** Inodes whose map can be read whole: what they do not claim is not theirs, whatever the reverse map says. */
  readonly denied: ReadonlySet<number>;
  /** Names of all inodes that may own something. */
  readonly names: Names;
}

/** What is known of the inodes that the scan and the reverse map name. */
async function knownOf(
  volume: XfsVolume,
  scan: ScanResult,
  { source, wanted }: { readonly source: OwnerSource; readonly wanted: WantedBlocks },
): Promise<Known> {
  const { agBlocks } = volume.superblock;
  const reverse = new Map<number, Claimant>();
  const denied = new Set<number>();
  const unread = new Set<number>();
  for (const { inode } of scan.reverse) {
    if (inode === 0 || reverse.has(inode) || unread.has(inode)) continue;
    const found = await readInode(volume, inode);
    if (typeof found === "string") {
      unread.add(inode);
      continue;
    }
    reverse.set(inode, claimantOf(volume, found));
    if (!scan.partial.has(inode)) denied.add(inode);
  }
  const names = await collectNames(volume, scan.directories, namedBy(volume, scan, wanted));
  const { rootInode } = volume.superblock;
  for (const inode of unread) {
    // Nothing names the root, and nothing else it could be.
    const kind = inode === rootInode ? "directory" : names.kinds.get(inode);
    if (kind !== undefined) reverse.set(inode, { kind, size: Infinity, doubt: undefined });
  }
  const byReverseMap = ({ inode, block }: Claim): boolean =>
    inode !== 0 && scan.reverseWhole.has(Math.floor(block / agBlocks));
  const claims =
    source === "inodes"
      ? scan.claims
      : [
          ...scan.claims.filter((claim) => !byReverseMap(claim)),
          ...scan.reverse.filter(byReverseMap),
        ];
  return { claims, claimants: scan.claimants, reverse, denied, names };
}

/** Inodes that may own something wanted: by their maps, by the reverse map, or because their slot itself is wanted. */
function namedBy(
  { superblock }: XfsVolume,
  scan: ScanResult,
  wanted: WantedBlocks,
): ReadonlySet<number> {
  const named = new Set<number>();
  for (const { inode } of scan.claims) if (inode !== 0) named.add(inode);
  for (const { inode } of scan.reverse) if (inode !== 0) named.add(inode);
  const { inodesPerBlock } = superblock;
  for (const { chunk, block } of scan.claims) {
    if (chunk === undefined) continue;
    const skipped = chunk.first % inodesPerBlock;
    for (let index = 0; index < chunk.count; index += 1) {
      const place = block + Math.floor((skipped + index) / inodesPerBlock);
      if (isFree(chunk, index) !== true && wanted.hits(place, 1))
        named.add(inodeNumber(superblock, chunk.ag, chunk.first + index));
    }
  }
  return named;
}

/** The owners of a piece as they are told: what is free is so only where nobody claims it, and sharers of a reflinked extent are marked. */
function settled(volume: XfsVolume, owners: readonly OwnerDraft[]): readonly OwnerDraft[] {
  if (owners.length < 2) return owners;
  const claimed = owners.filter(({ kind }) => kind !== "free");
  if (claimed.length === 0) return owners.slice(0, 1);
  const sharers = claimed.every(
    ({ what }) => what === "data" || what === "unwritten" || what === "file-slack",
  );
  if (claimed.length < 2 || !sharers || !volume.superblock.features.reflink) return claimed;
  // What is missing of one of them comes first: a file that ends in the block has only slack behind.
  const first = claimed.filter(({ kind }) => kind === "file");
  return [...first, ...claimed.filter(({ kind }) => kind !== "file")].map(sharedDraft);
}
