/** Lookup: the inode of an absolute path, directory by directory, by the exact bytes of the names. */
import { textToName } from "../names.ts";
import { directoryBudget, readNames } from "./directory.ts";
import { readInode } from "./inode.ts";
import type { XfsVolume } from "./volume.ts";

/** The inode of an absolute path as `FileMap.paths` writes it; `undefined` where there is none, or it is hidden. */
export async function lookupPath(volume: XfsVolume, path: string): Promise<number | undefined> {
  const { rootInode } = volume.superblock;
  if (!path.startsWith("/") || rootInode === undefined) return undefined;
  let number = rootInode;
  const budget = directoryBudget(volume);
  for (const part of path.split("/").filter((name) => name !== "")) {
    if (part === "." || part === "..") return undefined;
    const directory = await readInode(volume, number);
    if (typeof directory === "string" || directory.kind !== "directory") return undefined;
    const wanted = textToName(part);
    let found: number | undefined;
    await readNames(volume, { directory, budget }, ({ inode, bytes, start, end }) => {
      if (end - start !== wanted.length) return false;
      for (let index = 0; index < wanted.length; index += 1)
        if (bytes[start + index] !== wanted[index]) return false;
      found = inode;
      return true;
    });
    if (found === undefined) return undefined;
    number = found;
  }
  return typeof (await readInode(volume, number)) === "string" ? undefined : number;
}
