/** demo-makers: how an image of each file system is made of a tree, what the package carries where that cannot be, and who checks it. */
import { lstatSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { administratorsProgram } from "./administrators-program.ts";

/** What an image is made of. */
export interface DemoOrder {
  /** Folder that the image goes to. */
  readonly folder: string;
  readonly image: string;
  /** The tree, a copy: what the file system cannot be given is taken out of it. */
  readonly tree: string;
  /** Where the tree was copied from, for people. */
  readonly from: string;
  /** Bytes and files in the tree. */
  readonly bytes: number;
  readonly files: number;
}

/** One file system's ways. */
export interface DemoMaker {
  /** File in the assets folder: an image, gzip. */
  readonly carried: string;
  /** Its maker's program. */
  readonly program: string;
  /** What checks an image without changing it. */
  readonly checker: { readonly program: string; readonly flags: string };
  /** Makes the image. @returns the command, for people; `undefined` where that cannot be done here */
  make(order: DemoOrder): Promise<string | undefined>;
}

const MIB = 1_048_576;

async function makeExt4({
  image,
  tree,
  from,
  bytes,
  files,
}: DemoOrder): Promise<string | undefined> {
  const size = `${Math.ceil((bytes * 1.4 + files * 6144) / MIB) + 16}M`;
  const options = ["-q", "-t", "ext4", "-b", "4096", "-d", tree, image, size];
  const made = await administratorsProgram("mke2fs", options);
  return made?.status === 0 ? `mke2fs -t ext4 -d ${from} demo.img ${size}` : undefined;
}

async function makeXfs(order: DemoOrder): Promise<string | undefined> {
  const { folder, image, tree, bytes, files } = order;
  const size = Math.ceil((bytes * 1.4 + files * 6144) / MIB) + 64;
  const prototype = join(folder, "demo.proto");
  writeFileSync(prototype, `/ 0 0\n${prototypeOf(tree, "")}\n$\n`);
  // Volumes this small are made for such trials alone.
  const options = ["--unsupported", "-q", "-f", "-m", "rmapbt=1,reflink=1", "-p", prototype];
  const made = await administratorsProgram("mkfs.xfs", [
    ...options,
    "-d",
    `file,name=${image},size=${size}m`,
  ]);
  rmSync(prototype);
  return made?.status === 0
    ? `mkfs.xfs -m rmapbt=1,reflink=1 -p demo.proto -d file,name=demo.img,size=${size}m`
    : undefined;
}

/** Targets of links up to here stand in the inode: older mkfs.xfs puts longer ones where no kernel reads them. */
const LINK_MAX = 200;

/** A folder and what is in it, as mkfs.xfs -p reads it. What cannot be written there, as a name with a space, is taken out of the tree. */
function prototypeOf(tree: string, name: string): string {
  const lines = [`${name}${name === "" ? "" : " "}d--755 0 0`];
  for (const entry of readdirSync(tree)) {
    const path = join(tree, entry);
    const stat = lstatSync(path);
    const target = stat.isSymbolicLink() ? readlinkSync(path) : "";
    const writable = !/\s/.test(entry) && !/\s/.test(target) && target.length <= LINK_MAX;
    if (writable && stat.isDirectory()) lines.push(prototypeOf(path, entry), "$");
    else if (writable && stat.isFile()) lines.push(`${entry} ---644 0 0 ${path}`);
    else if (writable && stat.isSymbolicLink()) lines.push(`${entry} l--777 0 0 ${target}`);
    else rmSync(path, { recursive: true });
  }
  return lines.join("\n");
}

/** File systems that the demonstration can be given. */
export const DEMO_FILESYSTEMS = ["ext4", "xfs"] as const;

/** One of them. */
export type DemoFilesystem = (typeof DEMO_FILESYSTEMS)[number];

/** Their ways. */
export const DEMO_MAKERS: Readonly<Record<DemoFilesystem, DemoMaker>> = {
  ext4: {
    carried: "demo.ext4.gz",
    program: "mke2fs",
    checker: { program: "e2fsck", flags: "-fn" },
    make: makeExt4,
  },
  xfs: {
    carried: "demo.xfs.gz",
    program: "mkfs.xfs",
    checker: { program: "xfs_repair", flags: "-n" },
    make: makeXfs,
  },
};
