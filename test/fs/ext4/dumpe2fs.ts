/** What dumpe2fs prints of a volume, parsed: the oracle for geometry and bitmaps. */
import { run } from "./scratch.ts";

/** A run of blocks, first and last. */
export type Span = readonly [number, number];

/** One group as dumpe2fs prints it. */
export interface DumpedGroup {
  readonly group: number;
  readonly blocks: Span;
  readonly flags: readonly string[];
  readonly superblock: { readonly backup: boolean; readonly block: number } | undefined;
  readonly descriptors: Span | undefined;
  readonly reserved: Span | undefined;
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: Span;
  readonly freeBlocks: readonly Span[];
  readonly freeInodes: readonly Span[];
}

function span(text: string | undefined): Span | undefined {
  if (text === undefined) return undefined;
  const [first, last] = text.split("-").map(Number) as [number, number | undefined];
  return [first, last ?? first];
}

function spans(text: string | undefined): Span[] {
  return (text ?? "")
    .split(/,\s*/)
    .filter((part) => part !== "")
    .map((part) => span(part) as Span);
}

function parseGroup(text: string): DumpedGroup {
  const find = (pattern: RegExp): string | undefined => pattern.exec(text)?.[1];
  const superblock = /(Primary|Backup) superblock at (\d+)/.exec(text);
  return {
    group: Number(find(/^(\d+):/)),
    blocks: span(find(/\(Blocks ([\d-]+)\)/)) as Span,
    flags: (find(/^[^\n]*\[([A-Z_, ]+)\]/) ?? "").split(", ").filter((flag) => flag !== ""),
    superblock:
      superblock === null
        ? undefined
        : { backup: superblock[1] === "Backup", block: Number(superblock[2]) },
    descriptors: span(find(/Group descriptors? at ([\d-]+)/)),
    reserved: span(find(/Reserved GDT blocks at ([\d-]+)/)),
    blockBitmap: Number(find(/Block bitmap at (\d+)/)),
    inodeBitmap: Number(find(/Inode bitmap at (\d+)/)),
    inodeTable: span(find(/Inode table at ([\d-]+)/)) as Span,
    freeBlocks: spans(find(/Free blocks: ([\d,\s-]*?)\n/)),
    freeInodes: spans(find(/Free inodes: ([\d,\s-]*?)(?:\n|$)/)),
  };
}

/** Runs dumpe2fs on an image. */
export function dumpe2fs(path: string): {
  readonly header: string;
  readonly groups: readonly DumpedGroup[];
} {
  const [header, ...groups] = run("dumpe2fs", [path]).split(/^Group (?=\d+:)/m);
  return { header: header ?? "", groups: groups.map(parseGroup) };
}
