/** Paths: one pass over all directories that finds the names of wanted inodes, and of every directory on the way to them. */
import type { FileInfo } from "../file-map.ts";
import { NameTable } from "../name-table.ts";
import { Turns } from "../turns.ts";
import { directoryBudget, readNames, type DirectoryName } from "./directory.ts";
import { readInode } from "./inode.ts";
import type { XfsVolume } from "./volume.ts";

/** What a pass found. */
export interface Names {
  readonly table: NameTable;
  /** Kinds that directories say wanted inodes have; nothing on volumes where they do not. */
  readonly kinds: ReadonlyMap<number, FileInfo["kind"]>;
}

/** Which names are collected: of these inodes, or of all. Directories' names always are. */
export type WantedNames = ReadonlySet<number> | "all";

/** Kinds by the number that stands behind a name. */
const KINDS: readonly (FileInfo["kind"] | undefined)[] = [
  undefined,
  "file",
  "directory",
  "other",
  "other",
  "other",
  "other",
  "symlink",
];

/** Collects names from directories. */
export async function collectNames(
  volume: XfsVolume,
  directories: readonly number[],
  wanted: WantedNames,
): Promise<Names> {
  const { rootInode, features } = volume.superblock;
  if (rootInode === undefined && directories.length > 0)
    volume.report({
      message: "No superblock that can be read tells the root directory: paths are hidden",
    });
  const table = new NameTable(rootInode ?? -1);
  const kinds = new Map<number, FileInfo["kind"]>();
  if (wanted !== "all" && wanted.size === 0) return { table, kinds };
  const all = new Set(directories);
  const turns = new Turns();
  const budget = directoryBudget(volume);
  for (const number of directories) {
    const directory = await readInode(volume, number);
    if (typeof directory === "string") continue;
    await readNames(volume, { directory, budget }, (name: Readonly<DirectoryName>) => {
      const { inode: child, bytes, start, end } = name;
      const asked = wanted === "all" || wanted.has(child);
      if (!asked && !all.has(child)) return;
      if (!table.add({ child, parent: number, bytes, start, end, encrypted: false })) {
        const message = `A name in directory ${number} holds "/" or NUL: it is not believed`;
        volume.report({ inode: child, message });
        return;
      }
      const kind = features.fileTypes ? KINDS[bytes[end]!] : undefined;
      if (kind !== undefined && wanted !== "all" && asked) kinds.set(child, kind);
    });
    await turns.take();
  }
  return { table, kinds };
}
