/**
 * Claims: who says that wanted blocks are its own: the AGs of themselves and of free space, every inode of its forks, and the reverse map.
 *
 * All AGs are gone through, because an inode's blocks may be in any of them; of each AG only what hits wanted blocks is kept. So memory
 * grows with the damage, the directories and one AG, not with the files.
 */
import type { BlockClaim } from "../claim-sweep.ts";
import type { OwnerWhat } from "../file-map.ts";
import { Turns } from "../turns.ts";
import { WantedBlocks } from "../wanted-blocks.ts";
import { claimsOfAg, reverseClaimsOfAg } from "./ag-claims.ts";
import { DirectoryTable } from "./directory-table.ts";
import { listedExtents, walkFork, type ForkVisitor } from "./fork-map.ts";
import { agLength } from "./geometry.ts";
import type { Inode, MetadataKind } from "./inode.ts";
import { InodeFilter } from "./inode-filter.ts";
import { inodeChunks, visitChunk, type InodeChunk } from "./inode-walk.ts";
import { walkMetadataTree } from "./metadata-tree.ts";
import type { XfsVolume } from "./volume.ts";

/** What an inode, or an AG for all its inodes, claims blocks for. */
type InodeRole = "data" | "unwritten" | "data-tree" | "attributes" | "attribute-tree" | "inodes";

/** A run of blocks that somebody says are its own; of an AG's own use `inode` is 0. */
export interface Claim extends BlockClaim {
  /** Of an AG's own use what an owner is. */
  readonly role: InodeRole | OwnerWhat;
  /** Told by the reverse map. */
  readonly reverse?: true;
  /** Of role "inodes". */
  readonly chunk?: InodeChunk;
}

/** What of an inode is needed to tell what its blocks are. */
export interface Claimant {
  readonly kind: Inode["kind"];
  readonly size: number;
  readonly doubt: string | undefined;
  readonly metadata?: MetadataKind | undefined;
}

/** What a scan found. */
export interface ScanResult {
  readonly claims: readonly Claim[];
  readonly claimants: ReadonlyMap<number, Claimant>;
  /** Claims of the reverse maps on wanted blocks: on those that may have other owners than the claims tell, or on all. */
  readonly reverse: readonly Claim[];
  /** AGs whose reverse map could be read whole. */
  readonly reverseWhole: ReadonlySet<number>;
  /** Inodes of whose maps a part is hidden. */
  readonly partial: ReadonlySet<number>;
  readonly directories: DirectoryTable;
  /** Why something may be missing above: sentences, at most `REASONS_MAX`. */
  readonly reasons: readonly string[];
  /** Whether every inode was verified: else one that claims nothing wanted may be wrong unseen, and hide what it should claim. */
  readonly thorough: boolean;
}

/** What is scanned for. */
export interface ScanOptions {
  readonly wanted: WantedBlocks;
  /** Which wanted blocks the reverse map is asked for. */
  readonly reverse: "unclaimed" | "all";
  /** Whether the checksum of every inode is computed, which takes longer. */
  readonly thorough: boolean;
}

const FORKS = ["data", "attributes"] as const;

/** Reasons that are kept. */
export const REASONS_MAX = 64;

/** Claims that are kept: more on what is asked can only be the work of a hostile image. */
const CLAIMS_MAX = 2 ** 22;

/** Collects claims; made once for a scan. */
export class ClaimScan {
  readonly claims: Claim[] = [];
  readonly reverse: Claim[] = [];
  readonly reverseWhole: Set<number> = new Set();
  readonly partial: Set<number> = new Set();
  readonly claimants: Map<number, Claimant> = new Map();
  readonly directories: DirectoryTable;
  readonly reasons: string[] = [];
  readonly wanted: WantedBlocks;
  readonly thorough: boolean;
  readonly #shared: { readonly block: number; readonly count: number }[] = [];
  readonly #filter: InodeFilter;
  readonly #verify: boolean;
  readonly #volume: XfsVolume;
  /** Blocks of maps that are looked at: each belongs to one inode, so more can only be the work of a hostile image. */
  #nodesLeft: number;

  constructor(volume: XfsVolume, { wanted, thorough }: Pick<ScanOptions, "wanted" | "thorough">) {
    this.#volume = volume;
    this.wanted = wanted;
    this.directories = new DirectoryTable(volume);
    this.#filter = new InodeFilter(volume.superblock, wanted);
    this.#verify = thorough;
    // Nothing but a checksum tells that a plain inode is wrong, and version 4 has none.
    this.thorough = thorough || !volume.superblock.features.checksums;
    this.#nodesLeft = 2 * volume.superblock.blockCount + 65_536;
  }

  /** Keeps a claim if its blocks are wanted. */
  add(claim: Claim): void {
    this.#keep(this.claims, claim);
  }

  /** Keeps a claim of the reverse map if its blocks are wanted. */
  addReverse(claim: Claim): void {
    this.#keep(this.reverse, claim);
  }

  /** Notes blocks that may have more owners than the claims that are found. */
  addShared(run: { readonly block: number; readonly count: number }): void {
    if (this.wanted.hits(run.block, run.count)) this.#shared.push(run);
  }

  /** Claims of those who are believed, on blocks that nobody shares: what they cover, the reverse map need not tell. */
  certain(): readonly Claim[] {
    const shared = new WantedBlocks(this.#shared);
    return this.claims.filter(
      ({ inode, block, count }) =>
        inode === 0 ||
        (this.claimants.get(inode)?.doubt === undefined && !shared.hits(block, count)),
    );
  }

  #keep(list: Claim[], claim: Claim): void {
    if (!this.wanted.hits(claim.block, claim.count)) return;
    if (list.length < CLAIMS_MAX) list.push(claim);
    else this.hidden(`More than ${CLAIMS_MAX} claims are made: the rest is not looked at`);
  }

  /** Keeps the reason why something may be missing. */
  readonly hidden = (why: string): void => {
    if (this.reasons.length < REASONS_MAX) this.reasons.push(why);
  };

  /** Goes through the inodes of an AG. */
  async inodesOf(ag: number, turns: Turns): Promise<void> {
    const { chunks, hidden } = await inodeChunks(this.#volume, ag);
    for (const why of hidden) this.hidden(why);
    const { agBlocks, inodesPerBlock } = this.#volume.superblock;
    for (const chunk of chunks) {
      const first = Math.floor(chunk.first / inodesPerBlock);
      const count = Math.ceil((chunk.first + chunk.count) / inodesPerBlock) - first;
      this.add({
        inode: 0,
        block: ag * agBlocks + first,
        count,
        logical: chunk.first,
        role: "inodes",
        chunk,
      });
      const waiting: Inode[] = [];
      await visitChunk(this.#volume, chunk, {
        filter: this.#filter,
        verify: this.#verify,
        // What has a tree has more to read, and its slot would be gone by then.
        inode: (inode) => {
          const tree = inode.data.format.endsWith("tree") || inode.attributes.format === "tree";
          if (tree) waiting.push({ ...inode, slot: inode.slot.slice() });
          else this.#listed(inode);
        },
        hidden: this.hidden,
      });
      for (const inode of waiting) await this.#withTree(inode);
      await turns.take();
    }
  }

  #listed(inode: Inode): void {
    this.#directory(inode);
    if (this.wanted.size === 0) return;
    const before = this.claims.length;
    for (const fork of FORKS)
      if (inode[fork].format === "extents")
        listedExtents(this.#volume, { inode, fork }, this.#visitor(inode, fork));
    if (this.claims.length > before)
      this.claimants.set(inode.number, claimantOf(this.#volume, inode));
  }

  async #withTree(inode: Inode): Promise<void> {
    this.#directory(inode);
    if (this.wanted.size === 0) return;
    const before = this.claims.length;
    for (const fork of FORKS) {
      const visitor = this.#visitor(inode, fork);
      if (inode[fork].format === "metadata-tree")
        await walkMetadataTree(this.#volume, inode, visitor);
      else await walkFork(this.#volume, { inode, fork }, visitor);
    }
    if (this.claims.length > before)
      this.claimants.set(inode.number, claimantOf(this.#volume, inode));
  }

  #directory(inode: Inode): void {
    if (inode.kind === "directory" && inode.doubt === undefined) this.directories.add(inode);
  }

  #visitor(inode: Inode, fork: "data" | "attributes"): ForkVisitor {
    const { number } = inode;
    const foreign = fork === "data" && inode.realtime;
    return {
      run: ({ logical, block, count, unwritten }) => {
        if (foreign) return;
        const role = fork === "attributes" ? "attributes" : unwritten ? "unwritten" : "data";
        this.add({ inode: number, block, count, logical, role });
      },
      node: (block) => {
        const role = fork === "attributes" ? "attribute-tree" : "data-tree";
        this.add({ inode: number, block, count: 1, logical: 0, role });
        this.#nodesLeft -= 1;
        return this.#nodesLeft >= 0;
      },
      hidden: ({ why }) => {
        this.partial.add(number);
        this.hidden(why);
      },
    };
  }
}

/** What of an inode is kept. */
export function claimantOf({ certain }: XfsVolume, inode: Inode): Claimant {
  const { kind, size, mode, metadata } = inode;
  // Such a superblock may not tell who keeps quotas; the kernel gives those files no permissions.
  const hidden = !certain && metadata === undefined && mode === 0o100000;
  const doubt = hidden
    ? "it may keep quotas or the real-time device's map, which the superblock that serves does not tell for sure"
    : inode.doubt;
  return { kind, size, doubt, metadata };
}

/** Goes through the volume once for wanted blocks. */
export async function scanClaims(volume: XfsVolume, options: ScanOptions): Promise<ScanResult> {
  const { wanted } = options;
  const scan = new ClaimScan(volume, options);
  const turns = new Turns();
  const { agCount, agBlocks } = volume.superblock;
  const there = volume.agsThere;
  if (there < agCount) scan.hidden(`AGs from ${there} on are not there: the volume was cut off`);
  for (let ag = 0; ag < there; ag += 1) {
    if (wanted.hits(ag * agBlocks, agLength(volume.superblock, ag)))
      await claimsOfAg(volume, ag, scan);
    await scan.inodesOf(ag, turns);
  }
  const left = options.reverse === "all" ? wanted : wanted.without(scan.certain());
  for (let ag = 0; ag < there; ag += 1)
    if (left.hits(ag * agBlocks, agLength(volume.superblock, ag)))
      await reverseClaimsOfAg(volume, ag, { scan, wanted: left });
  return scan;
}
