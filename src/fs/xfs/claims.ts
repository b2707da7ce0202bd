/**
 * Claims: who says that wanted blocks are its own: the AGs of themselves and of free space, every inode of its forks, and the reverse map.
 *
 * All AGs are gone through, because an inode's blocks may be in any of them; of each AG only what hits wanted blocks is kept. So memory
 * grows with the damage, the directories and one AG, not with the files.
 */
import type { BlockClaim } from "../claim-sweep.ts";
import type { OwnerWhat } from "../file-map.ts";
import { Turns } from "../turns.ts";
import type { WantedBlocks } from "../wanted-blocks.ts";
import { claimsOfAg } from "./ag-claims.ts";
import { walkFork } from "./fork-map.ts";
import { agLength } from "./geometry.ts";
import type { Inode } from "./inode.ts";
import { inodeChunks, visitChunk, type InodeChunk } from "./inode-walk.ts";
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
}

/** What a scan found. */
export interface ScanResult {
  readonly claims: readonly Claim[];
  readonly claimants: ReadonlyMap<number, Claimant>;
  /** Claims of the reverse maps on wanted blocks. */
  readonly reverse: readonly Claim[];
  /** AGs whose reverse map could be read whole. */
  readonly reverseWhole: ReadonlySet<number>;
  /** Inodes of whose maps a part is hidden. */
  readonly partial: ReadonlySet<number>;
  /** Directories, ascending. */
  readonly directories: readonly number[];
  /** Why something may be missing above: sentences, at most `REASONS_MAX`. */
  readonly reasons: readonly string[];
}

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
  readonly directories: number[] = [];
  readonly reasons: string[] = [];
  readonly wanted: WantedBlocks;
  readonly #volume: XfsVolume;
  /** Blocks of maps that are looked at: each belongs to one inode, so more can only be the work of a hostile image. */
  #nodesLeft: number;

  constructor(volume: XfsVolume, wanted: WantedBlocks) {
    this.#volume = volume;
    this.wanted = wanted;
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
        inode: (inode) => waiting.push(inode),
        hidden: this.hidden,
      });
      for (const inode of waiting) await this.#inode(inode);
      await turns.take();
    }
  }

  async #inode(inode: Inode): Promise<void> {
    if (inode.kind === "directory" && inode.doubt === undefined)
      this.directories.push(inode.number);
    if (this.wanted.size === 0) return;
    const before = this.claims.length;
    for (const fork of ["data", "attributes"] as const) {
      const { format } = inode[fork];
      if (format !== "extents" && format !== "tree") continue;
      const foreign = fork === "data" && inode.realtime;
      await walkFork(
        this.#volume,
        { inode, fork },
        {
          run: ({ logical, block, count, unwritten }) => {
            if (foreign) return;
            const role = fork === "attributes" ? "attributes" : unwritten ? "unwritten" : "data";
            this.add({ inode: inode.number, block, count, logical, role });
          },
          node: (block) => {
            const role = fork === "attributes" ? "attribute-tree" : "data-tree";
            this.add({ inode: inode.number, block, count: 1, logical: 0, role });
            this.#nodesLeft -= 1;
            return this.#nodesLeft >= 0;
          },
          hidden: ({ why }) => {
            this.partial.add(inode.number);
            this.hidden(why);
          },
        },
      );
    }
    if (this.claims.length > before)
      this.claimants.set(inode.number, claimantOf(this.#volume, inode));
  }
}

/** What of an inode is kept. */
export function claimantOf({ copied }: XfsVolume, inode: Inode): Claimant {
  const { kind, size, mode } = inode;
  // A copy of the superblock is older than quotas, and the kernel gives the files that it keeps them in no permissions.
  const hidden = copied && mode === 0o100000;
  const doubt = hidden
    ? "it may keep quotas or the real-time device's map, which the copy of the superblock does not tell"
    : inode.doubt;
  return { kind, size, doubt };
}

/** Goes through the volume once for wanted blocks. */
export async function scanClaims(volume: XfsVolume, wanted: WantedBlocks): Promise<ScanResult> {
  const scan = new ClaimScan(volume, wanted);
  const turns = new Turns();
  const { agCount, agBlocks } = volume.superblock;
  const there = volume.agsThere;
  if (there < agCount) scan.hidden(`AGs from ${there} on are not there: the volume was cut off`);
  for (let ag = 0; ag < there; ag += 1) {
    if (wanted.hits(ag * agBlocks, agLength(volume.superblock, ag)))
      await claimsOfAg(volume, ag, scan);
    await scan.inodesOf(ag, turns);
  }
  return scan;
}
