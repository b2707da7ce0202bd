/** DebugfsShapes: random debugfs commands that bring an image into states which mke2fs alone does not make. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Prng } from "../../../src/base/index.ts";
import { debugfs, parseStat } from "./debugfs.ts";

const INLINE_FLAG = 0x1000_0000;
const VERITY_FLAG = 0x10_0000;

/** What the shapes are applied to. */
export interface ShapeOptions {
  readonly image: string;
  /** Folder for helper files. */
  readonly folder: string;
  readonly blockSize: number;
  readonly features: ReadonlySet<string>;
  /** Paths of regular files. */
  readonly files: readonly string[];
}

function attributeCommands(random: Prng, options: ShapeOptions, path: string): string[] {
  const sizes = options.features.has("ea_inode") ? [10, 90, 700, 5000, 60_000] : [10, 90, 700];
  const file = join(options.folder, `value-${random.below(1e9)}`);
  writeFileSync(file, random.bytes(1 + random.below(random.pick(sizes))));
  return [`ea_set -f ${file} ${path} user.name${random.below(5)}`];
}

function blockCommands(random: Prng, path: string): string[] {
  const start = random.below(30);
  if (random.chance(0.5)) return [`punch ${path} ${start} ${start + random.below(20)}`];
  return [`fallocate ${path} ${start} ${start + random.below(60)}`];
}

/** Commands that leave a file without a name, or in the list of orphans as a crash does. */
function orphanCommands(random: Prng, options: ShapeOptions, path: string): string[] {
  const inode = parseStat(debugfs(options.image, [`stat ${path}`])[0] as string)?.inode;
  if (inode === undefined) return [];
  const commands = [`unlink ${path}`];
  if (random.chance(0.6)) {
    const next =
      /^ *Orphan inode list|First orphan inode: +(\d+)/m.exec(
        debugfs(options.image, ["stats -h"])[0] as string,
      )?.[1] ?? "0";
    commands.push(
      `sif <${inode}> links_count 0`,
      `sif <${inode}> dtime ${next}`,
      `ssv last_orphan ${inode}`,
    );
  }
  return commands;
}

/** Another size, or the verity flag; not where the content is inside the inode, which would break it. */
function inodeCommands(random: Prng, options: ShapeOptions, path: string): string[] {
  const inode = parseStat(debugfs(options.image, [`stat ${path}`])[0] as string);
  if (inode === undefined || (inode.flags & INLINE_FLAG) !== 0) return [];
  if (options.features.has("verity") && random.chance(0.5))
    return [`sif ${path} flags 0x${(inode.flags | VERITY_FLAG).toString(16)}`];
  return [`sif ${path} size ${random.below(40 * options.blockSize)}`];
}

function commandsOf(random: Prng, options: ShapeOptions, step: number): string[] {
  const path = random.pick(options.files);
  // Names that no other shape has: a name twice in one directory has no one answer.
  const tag = `${step}-${random.below(1e9)}`;
  const file = join(options.folder, `content-${step}`);
  switch (random.below(12)) {
    case 0:
      return [`rm ${path}`];
    case 1: {
      writeFileSync(file, random.bytes(random.below(random.pick([50, 20_000]))));
      return [`write ${file} written-${tag}`];
    }
    case 2:
    case 3:
      return blockCommands(random, path);
    case 4:
      return [`ln ${path} hard-${tag}`, `sif ${path} links_count 2`];
    case 5:
      return orphanCommands(random, options, path);
    case 6:
    case 7:
      return attributeCommands(random, options, path);
    case 8:
      // The last one makes a name with a "/" in it, which no kernel would.
      return [
        `mkdir new-${tag}`,
        `cd /new-${tag}`,
        `symlink link ${"s".repeat(1 + random.below(120))}`,
        "mknod pipe p",
        "cd /",
        `mknod hostile/name${tag} p`,
      ];
    case 9:
      return ["expand_dir /"];
    default:
      return inodeCommands(random, options, path);
  }
}

/** Applies random commands to an image; the rest of it stays as it is. */
export function shapeImage(random: Prng, options: ShapeOptions): void {
  if (options.files.length === 0) return;
  for (let step = random.below(25); step > 0; step -= 1) {
    const commands = commandsOf(random, options, step);
    if (commands.length > 0) debugfs(options.image, commands, { write: true });
  }
}
