/** AG claims: what an allocation group says of itself: free space, its trees, what is kept for them, and its reverse map. */
import type { OwnerWhat } from "../file-map.ts";
import {
  readFreeList,
  readFreeSpaceHeader,
  readInodeHeader,
  type FreeSpaceHeader,
  type TreeRoot,
} from "./ag-headers.ts";
import type { WantedBlocks } from "../wanted-blocks.ts";
import { walkAgTree, type AgTreeKind, type TreeVisitor } from "./ag-tree.ts";
import type { Claim, ClaimScan } from "./claims.ts";
import { agLength, inAg } from "./geometry.ts";
import { OWNERS, walkReverseMap, type ReverseRecord } from "./reverse-map.ts";
import { COPY_ON_WRITE } from "./shared-blocks.ts";
import type { XfsVolume } from "./volume.ts";

/** Adds all claims of an AG on its own blocks. */
export async function claimsOfAg(volume: XfsVolume, ag: number, scan: ClaimScan): Promise<void> {
  await new AgClaims(volume, ag, scan).addAll();
}

/** Adds all claims of an AG's reverse map on wanted blocks. */
export async function reverseClaimsOfAg(
  volume: XfsVolume,
  ag: number,
  { scan, wanted }: { readonly scan: ClaimScan; readonly wanted: WantedBlocks },
): Promise<void> {
  await new AgClaims(volume, ag, scan).addReverse(wanted);
}

class AgClaims {
  readonly #volume: XfsVolume;
  readonly #ag: number;
  readonly #scan: ClaimScan;

  constructor(volume: XfsVolume, ag: number, scan: ClaimScan) {
    this.#volume = volume;
    this.#ag = ag;
    this.#scan = scan;
  }

  async addAll(): Promise<void> {
    const inodes = await readInodeHeader(this.#volume, this.#ag);
    if (inodes.header !== undefined) {
      await this.#tree({ kind: "inodes", root: inodes.header.inodes }, "inode-tree");
      if (inodes.header.freeInodes !== undefined)
        await this.#tree({ kind: "free-inodes", root: inodes.header.freeInodes }, "inode-tree");
    }
    const space = await readFreeSpaceHeader(this.#volume, this.#ag);
    if (space.header === undefined) {
      this.#scan.hidden(space.why);
      return;
    }
    await this.#freeSpace(space.header);
    const { referenceCounts, reverseMap } = space.header;
    if (referenceCounts !== undefined) await this.#shared(referenceCounts);
    if (reverseMap !== undefined)
      await this.#tree({ kind: "reverse-map", root: reverseMap }, "reverse-map-tree");
  }

  /** Adds what the reverse map says of wanted blocks. */
  async addReverse(wanted: WantedBlocks): Promise<void> {
    const space = await readFreeSpaceHeader(this.#volume, this.#ag);
    const root = space.header?.reverseMap;
    if (root !== undefined) await this.#reverse(root, wanted);
  }

  /** What the reference counts say: blocks that files share, and those that wait for a copy-on-write. */
  async #shared(root: TreeRoot): Promise<void> {
    const tree = { kind: "reference-counts", root } as const;
    const whole = await this.#tree(tree, "reference-count-tree", (view, at) => {
      const start = view.getUint32(at);
      const count = view.getUint32(at + 4);
      if (start >= COPY_ON_WRITE) this.#add(start - COPY_ON_WRITE, count, "copy-on-write");
      else if (inAg(this.#volume.superblock, { ag: this.#ag, block: start, count }))
        this.#scan.addShared(this.#claim({ block: start, count }, "data"));
    });
    const count = agLength(this.#volume.superblock, this.#ag);
    if (!whole) this.#scan.addShared(this.#claim({ block: 0, count }, "data"));
  }

  async #freeSpace(header: FreeSpaceHeader): Promise<void> {
    // Extents do not overlap, so there are never more of them than blocks.
    let left = agLength(this.#volume.superblock, this.#ag);
    const record = (view: DataView, at: number): void => {
      const count = view.getUint32(at + 4);
      left -= Math.max(1, count);
      if (left >= 0) this.#add(view.getUint32(at), count, "free-space");
      else this.#scan.hidden(`The free-space tree of AG ${this.#ag} holds more than the AG`);
    };
    // Both trees hold the same extents: what one hides the other tells.
    const whole = await this.#tree(
      { kind: "free-by-block", root: header.byBlock },
      "free-space-tree",
      record,
    );
    left = agLength(this.#volume.superblock, this.#ag);
    await this.#tree(
      { kind: "free-by-size", root: header.bySize },
      "free-space-tree",
      whole ? undefined : record,
    );
    const list = await readFreeList(this.#volume, this.#ag, header);
    if (list.header === undefined) this.#scan.hidden(list.why);
    for (const block of list.header ?? []) this.#add(block, 1, "tree-reserve");
  }

  #tree(
    tree: { readonly kind: AgTreeKind; readonly root: TreeRoot },
    what: OwnerWhat,
    record?: TreeVisitor["record"],
  ): Promise<boolean> {
    return walkAgTree(
      this.#volume,
      { ag: this.#ag, ...tree },
      {
        node: (block) => this.#add(block, 1, what),
        ...(record === undefined ? {} : { record }),
        hidden: this.#scan.hidden,
      },
    );
  }

  async #reverse(root: TreeRoot, wanted: WantedBlocks): Promise<void> {
    const start = this.#ag * this.#volume.superblock.agBlocks;
    const near = (block: number, count: number): boolean => wanted.hits(start + block, count);
    const whole = await walkReverseMap(
      this.#volume,
      { ag: this.#ag, root },
      {
        near,
        matters: near,
        record: (record) => {
          const claim = this.#reverseClaim(record);
          if (claim !== undefined) this.#scan.addReverse(claim);
        },
        hidden: this.#scan.hidden,
      },
    );
    if (whole) this.#scan.reverseWhole.add(this.#ag);
  }

  #add(block: number, count: number, role: OwnerWhat): void {
    if (!this.#scan.wanted.hits(this.#ag * this.#volume.superblock.agBlocks + block, count)) return;
    const place = { ag: this.#ag, block, count };
    if (inAg(this.#volume.superblock, place)) this.#scan.add(this.#claim({ block, count }, role));
  }

  #claim(
    { block, count }: { readonly block: number; readonly count: number },
    role: Claim["role"],
  ): Claim {
    return {
      inode: 0,
      block: this.#ag * this.#volume.superblock.agBlocks + block,
      count,
      logical: 0,
      role,
    };
  }

  #reverseClaim(record: ReverseRecord): Claim | undefined {
    const { owner } = record;
    if (owner > 0)
      return {
        ...this.#claim(record, roleOf(record)),
        reverse: true,
        inode: owner,
        logical: record.tree ? 0 : record.logical,
      };
    const what = SPECIAL.get(owner);
    return what === undefined ? undefined : this.#claim(record, what);
  }
}

/** What the reverse map's owners are that are no files. Slots of inodes need the inode tree, so of these it tells only that they are some. */
const SPECIAL: ReadonlyMap<number, OwnerWhat> = new Map<number, OwnerWhat>([
  [OWNERS.log, "journal-log"],
  [OWNERS.freeSpace, "free-space-tree"],
  [OWNERS.inodeTrees, "inode-tree"],
  [OWNERS.inodes, "inode-table"],
  [OWNERS.referenceCounts, "reference-count-tree"],
  [OWNERS.copyOnWrite, "copy-on-write"],
]);

function roleOf({ attributes, tree, unwritten }: ReverseRecord): Claim["role"] {
  if (tree) return attributes ? "attribute-tree" : "data-tree";
  if (attributes) return "attributes";
  return unwritten ? "unwritten" : "data";
}
