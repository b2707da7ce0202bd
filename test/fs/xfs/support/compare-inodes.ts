/** compare-inodes: every inode that a map tells, its paths, size, time and extents, beside what xfs_db says of it. */
import type { Extent, FileInfo, FileMap } from "../../../../src/fs/index.ts";
import { run } from "../../ext4/scratch.ts";

/** What xfs_db says of one inode. */
interface DumpedInode {
  readonly fields: ReadonlyMap<string, string>;
  /** Blocks: logical, AG, block in the AG, count, unwritten. */
  readonly runs: readonly (readonly [number, number, number, number, boolean])[];
}

const FIELDS = ["mode", "size", "mtime.sec", "mtime.nsec", "gen", "nlinkv2", "format"];

function xfsDb(path: string, commands: readonly string[]): string {
  // Times are told as the place's own.
  const args = commands.flatMap((command) => ["-c", command]);
  return run("env", ["TZ=UTC", "xfs_db", "-r", ...args, path], 3);
}

/** A path of every inode but the root, beginning with "/". */
function dumpedPaths(path: string): ReadonlyMap<number, string> {
  const paths = new Map<number, string>();
  // A directory is told with "/." behind.
  for (const [, inode, name] of xfsDb(path, ["blockget -n", "ncheck"]).matchAll(/^ *(\d+) (.*)$/gm))
    paths.set(Number(inode), `/${name!.replace(/\/\.$/, "")}`);
  return paths;
}

function dumpedInodes(path: string, inodes: readonly number[]): ReadonlyMap<number, DumpedInode> {
  const dumped = new Map<number, DumpedInode>();
  // A command line has an end.
  for (let at = 0; at < inodes.length; at += 1000) {
    const some = inodes.slice(at, at + 1000);
    const fields = FIELDS.map((field) => `core.${field}`).join(" ");
    const text = xfsDb(
      path,
      some.flatMap((inode) => [`inode ${inode}`, `p ${fields}`, "bmap -d"]),
    );
    for (const [index, part] of text
      .split(/^(?=core\.mode)/m)
      .filter((each) => each.startsWith("core"))
      .entries())
      dumped.set(some[index]!, dumpedInode(part));
  }
  return dumped;
}

function dumpedInode(text: string): DumpedInode {
  const fields = new Map<string, string>();
  for (const match of text.matchAll(/^core\.(\S+) = (.*)$/gm)) fields.set(match[1]!, match[2]!);
  const runs = [
    ...text.matchAll(/^data offset (\d+) startblock \d+ \((\d+)\/(\d+)\) count (\d+) flag (\d)$/gm),
  ].map(
    ([, logical, ag, block, count, flag]) =>
      [Number(logical), Number(ag), Number(block), Number(count), flag === "1"] as const,
  );
  return { fields, runs };
}

function infoDifferences(info: FileInfo, { fields }: DumpedInode): readonly string[] {
  const mode = Number.parseInt(fields.get("mode")!, 8) & 0o170000;
  const seconds = BigInt(Date.parse(`${fields.get("mtime.sec")} UTC`) / 1000);
  const expected = {
    kind:
      ({ 0o100000: "file", 0o040000: "directory", 0o120000: "symlink" } as const)[mode] ?? "other",
    size: Number(fields.get("size")),
    modifiedNs: seconds * 1_000_000_000n + BigInt(fields.get("mtime.nsec")!),
    generation: Number(fields.get("gen")),
    links: Number(fields.get("nlinkv2")),
  };
  const wrong: string[] = [];
  for (const [key, value] of Object.entries(expected))
    if (info[key as keyof FileInfo] !== value)
      wrong.push(`${key} ${info[key as keyof FileInfo]}, not ${value}`);
  return wrong;
}

/** xfs_db tells one path of each inode; how many there are is told by its links. */
function pathDifferences(
  { kind, links, paths }: FileInfo & { readonly paths: readonly string[] },
  real: string,
): readonly string[] {
  const count = kind === "directory" ? 1 : links;
  return paths.includes(real) && paths.length === count
    ? []
    : [`paths ${paths.slice(0, 4).join()} (${paths.length}), not ${real} (${count})`];
}

/** Extents in blocks as runs, where they touch joined. */
function joined(
  pieces: readonly {
    readonly at: number;
    readonly device: number;
    readonly length: number;
    readonly kind: string;
  }[],
): string {
  const runs: { at: number; device: number; length: number; kind: string }[] = [];
  for (const piece of pieces) {
    const last = runs.at(-1);
    const touches =
      last?.kind === piece.kind &&
      last.at + last.length === piece.at &&
      last.device + last.length === piece.device;
    if (touches) last.length += piece.length;
    else runs.push({ ...piece });
  }
  return runs.map(({ at, device, length, kind }) => `${kind} ${at}+${length} at ${device}`).join();
}

function extentDifferences(
  extents: readonly Extent[],
  { runs }: DumpedInode,
  { blockSize, agSize }: { readonly blockSize: number; readonly agSize: number },
): readonly string[] {
  const told = joined(
    extents
      .filter(({ kind }) => kind !== "hole")
      .map(({ offset, device, length, kind }) => ({
        at: offset,
        device: device ?? -1,
        length,
        kind,
      })),
  );
  const expected = joined(
    runs.map(([logical, ag, block, count, unwritten]) => ({
      at: logical * blockSize,
      device: ag * agSize + block * blockSize,
      length: count * blockSize,
      kind: unwritten ? "unwritten" : "data",
    })),
  );
  return told === expected ? [] : [`extents ${told}, not ${expected}`];
}

/** How much was compared. */
export interface InodeCounts {
  inodes: number;
  paths: number;
  extents: number;
}

/** Every inode of which the map says other than xfs_db. Links and what is kept inside an inode have no extents that compare. */
export async function inodeDifferences(
  map: FileMap,
  path: string,
  counts: InodeCounts,
): Promise<readonly string[]> {
  const geometry = xfsDb(path, ["sb 0", "p agblocks rootino"]);
  const value = (name: string): number =>
    Number(new RegExp(`${name} = (\\d+)`).exec(geometry)?.[1]);
  const paths = dumpedPaths(path);
  const inodes = [...new Set([value("rootino"), ...paths.keys()])];
  const dumped = dumpedInodes(path, inodes);
  const sizes = { blockSize: map.blockSize, agSize: value("agblocks") * map.blockSize };
  const wrong: string[] = [];
  const told = new Set<number>();
  for await (const file of map.files()) {
    told.add(file.inode);
    const known = dumped.get(file.inode);
    // Of quotas and the real-time device: no directory names them.
    if (known === undefined && file.paths.length === 0) continue;
    const found =
      known === undefined ? ["xfs_db does not know it"] : [...infoDifferences(file, known)];
    found.push(...pathDifferences(file, paths.get(file.inode) ?? "/"));
    if (
      known !== undefined &&
      file.kind !== "symlink" &&
      !known.fields.get("format")!.includes("local")
    )
      found.push(
        ...extentDifferences(await map.extents(file.inode, { pastEnd: true }), known, sizes),
      );
    counts.inodes += 1;
    counts.paths += file.paths.length;
    counts.extents += known?.runs.length ?? 0;
    wrong.push(...found.map((what) => `inode ${file.inode}: ${what}`));
  }
  for (const inode of inodes) if (!told.has(inode)) wrong.push(`inode ${inode} is not told`);
  return wrong;
}
