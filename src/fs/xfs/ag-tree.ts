/**
 * AG trees: walks one of the B+trees of an allocation group, block by block, and tells its records in order.
 *
 * What can go wrong: a block may be poisoned, wrong, of another tree, or point in a circle. Each block is visited at most once, levels
 * go down by one, and on v5 the checksum, address, AG and volume must be right; what fails hides only what was below it.
 */
import { checksumOk, uuidIs, viewOf, wideAt } from "./checksum.ts";
import type { TreeRoot } from "./ag-headers.ts";
import { inAg } from "./geometry.ts";
import type { XfsVolume } from "./volume.ts";

/** Trees of an AG. */
export type AgTreeKind =
  | "free-by-block"
  | "free-by-size"
  | "inodes"
  | "free-inodes"
  | "reverse-map"
  | "reference-counts";

interface Form {
  /** Magic numbers of v4 and v5. */
  readonly magics: readonly [number, number];
  /** Bytes of a record, and of all keys of a child. */
  readonly record: number;
  readonly keys: number;
  readonly name: string;
}

const FORMS: Readonly<Record<AgTreeKind, Form>> = {
  "free-by-block": {
    magics: [0x41425442, 0x41423342],
    record: 8,
    keys: 8,
    name: "free-space tree by block",
  },
  "free-by-size": {
    magics: [0x41425443, 0x41423343],
    record: 8,
    keys: 8,
    name: "free-space tree by size",
  },
  inodes: { magics: [0x49414254, 0x49414233], record: 16, keys: 4, name: "inode tree" },
  "free-inodes": { magics: [0x46494254, 0x46494233], record: 16, keys: 4, name: "free-inode tree" },
  "reverse-map": { magics: [0, 0x524d4233], record: 24, keys: 40, name: "reverse-map tree" },
  "reference-counts": {
    magics: [0, 0x52334643],
    record: 12,
    keys: 4,
    name: "reference-count tree",
  },
};

/** Bytes of a block's header, v4 and v5. */
const HEADERS = [16, 56] as const;

/** What a walk tells. */
export interface TreeVisitor {
  /** A block of the tree, whether it can be read or not. Block in the AG. */
  readonly node?: (block: number) => void;
  /** Whether what is below a child is looked at, by the child's keys at byte `at`. @default all is */
  readonly descends?: (view: DataView, at: number) => boolean;
  /** A record at byte `at` of a view that is valid during the call. Without it leaves are told as nodes, and not read. */
  readonly record?: (view: DataView, at: number) => void;
  /** What cannot be told, in a sentence. */
  readonly hidden?: (why: string) => void;
}

/** Which tree is walked. */
export interface AgTree {
  readonly ag: number;
  readonly kind: AgTreeKind;
  readonly root: TreeRoot;
}

interface Step {
  readonly block: number;
  readonly level: number;
}

/** Walks a tree from left to right. @returns whether all of it could be read */
export async function walkAgTree(
  volume: XfsVolume,
  tree: AgTree,
  visitor: TreeVisitor,
): Promise<boolean> {
  const { ag, kind, root } = tree;
  const { name } = FORMS[kind];
  if (root.levels === 0) {
    visitor.hidden?.(`The ${name} of AG ${ag} has an impossible root`);
    return false;
  }
  const seen = new Set<number>();
  const stack: Step[] = [{ block: root.block, level: root.levels - 1 }];
  let whole = true;
  for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
    const { block, level } = step;
    const why = seen.has(block)
      ? "is in it twice"
      : inAg(volume.superblock, { ag, block, count: 1 })
        ? await visit(volume, { tree, step, stack, visitor })
        : "is outside the AG";
    seen.add(block);
    if (why === undefined) continue;
    whole = false;
    const message = `Block ${block} of AG ${ag}, level ${level} of its ${name}, ${why}`;
    const { blockSize, agBlocks } = volume.superblock;
    const range = { offset: (ag * agBlocks + block) * blockSize, length: blockSize };
    volume.report({ range, message: `${message}: what is below it is hidden` });
    visitor.hidden?.(message);
  }
  return whole;
}

interface Visit {
  readonly tree: AgTree;
  readonly step: Step;
  readonly stack: Step[];
  readonly visitor: TreeVisitor;
}

/** Visits one block. @returns what is wrong with it */
async function visit(
  volume: XfsVolume,
  { tree, step, stack, visitor }: Visit,
): Promise<string | undefined> {
  const { blockSize, agBlocks, features } = volume.superblock;
  const form = FORMS[tree.kind];
  visitor.node?.(step.block);
  if (step.level === 0 && visitor.record === undefined) return undefined;
  const read = await volume.readBlocks(tree.ag * agBlocks + step.block, 1, true);
  if (read.bad.length > 0) return "cannot be read";
  const view = viewOf(read.bytes);
  const why = whyWrong(volume, { tree, step, bytes: read.bytes });
  if (why !== undefined) return why;
  const header = HEADERS[features.checksums ? 1 : 0];
  const count = view.getUint16(6);
  if (step.level === 0) {
    const most = Math.floor((blockSize - header) / form.record);
    if (count > most) return `says that it holds ${count} records, of which ${most} fit`;
    for (let index = 0; index < count; index += 1)
      visitor.record!(view, header + index * form.record);
    return undefined;
  }
  const most = Math.floor((blockSize - header) / (form.keys + 4));
  if (count > most) return `says that it has ${count} children, of which ${most} fit`;
  const pointers = header + most * form.keys;
  for (let index = count - 1; index >= 0; index -= 1)
    if (visitor.descends?.(view, header + index * form.keys) !== false)
      stack.push({ block: view.getUint32(pointers + index * 4), level: step.level - 1 });
  return undefined;
}

function whyWrong(
  volume: XfsVolume,
  { tree, step, bytes }: { readonly tree: AgTree; readonly step: Step; readonly bytes: Uint8Array },
): string | undefined {
  const { features, blockSize, agBlocks, stamp } = volume.superblock;
  const view = viewOf(bytes);
  const magic = FORMS[tree.kind].magics[features.checksums ? 1 : 0];
  if (view.getUint32(0) !== magic) return "is no block of it";
  if (features.checksums) {
    if (!checksumOk(bytes, 52)) return "has a wrong checksum";
    const address = ((tree.ag * agBlocks + step.block) * blockSize) / 512;
    if (wideAt(view, 16) !== address) return "says that it stands elsewhere";
    if (!uuidIs(bytes, 32, stamp)) return "is of another volume";
    if (view.getUint32(48) !== tree.ag) return `says that it is of AG ${view.getUint32(48)}`;
  }
  const level = view.getUint16(4);
  return level === step.level ? undefined : `says that it is at level ${level}`;
}
