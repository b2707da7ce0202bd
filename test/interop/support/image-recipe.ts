/** ImageRecipe: random arguments for mke2fs, over its features, block sizes and geometries. */
import type { Prng } from "../../../src/base/index.ts";

/** How an image is made. */
export interface ImageRecipe {
  readonly args: readonly string[];
  /** Bytes. */
  readonly size: number;
  readonly blockSize: number;
  readonly features: ReadonlySet<string>;
}

/** What every ext4 image may or may not have, with the probability that it does. */
const EXT4_FEATURES: Readonly<Record<string, number>> = {
  "64bit": 0.6,
  flex_bg: 0.75,
  meta_bg: 0.15,
  sparse_super2: 0.15,
  bigalloc: 0.2,
  inline_data: 0.35,
  huge_file: 0.7,
  extent: 0.85,
  metadata_csum: 0.65,
  metadata_csum_seed: 0.3,
  uninit_bg: 0.7,
  dir_index: 0.85,
  large_dir: 0.2,
  mmp: 0.15,
  quota: 0.2,
  project: 0.15,
  ea_inode: 0.35,
  casefold: 0.15,
  encrypt: 0.2,
  verity: 0.2,
  orphan_file: 0.3,
  fast_commit: 0.3,
  has_journal: 0.75,
  stable_inodes: 0.1,
  sparse_super: 0.85,
  resize_inode: 0.6,
  filetype: 0.9,
  extra_isize: 0.9,
};

/** Rules that mke2fs insists on: the feature on the left does not go with those on the right off ("^") or on. */
const CONFLICTS: readonly (readonly [string, readonly string[]])[] = [
  ["bigalloc", ["^extent", "resize_inode"]],
  ["meta_bg", ["resize_inode"]],
  ["sparse_super2", ["resize_inode"]],
  ["resize_inode", ["^sparse_super"]],
  ["metadata_csum_seed", ["^metadata_csum"]],
  ["metadata_csum", ["uninit_bg"]],
  ["64bit", ["^extent"]],
  ["orphan_file", ["^has_journal"]],
  ["fast_commit", ["^has_journal"]],
];

function isMet(features: ReadonlySet<string>, rule: string): boolean {
  return rule.startsWith("^") ? features.has(rule.slice(1)) : !features.has(rule);
}

/** Turns features on or off until mke2fs can agree. */
function settleConflicts(random: Prng, features: Set<string>): void {
  for (const [feature, rules] of CONFLICTS) {
    for (const rule of rules.filter((other) => features.has(feature) && !isMet(features, other))) {
      if (!rule.startsWith("^")) features.delete(rule);
      else if (random.chance(0.5)) features.delete(feature);
      else features.add(rule.slice(1));
    }
  }
  for (const [feature, rules] of CONFLICTS)
    if (!rules.every((rule) => isMet(features, rule))) features.delete(feature);
}

function ext4Features(random: Prng, mountable: boolean): Set<string> {
  const features = new Set<string>();
  for (const [feature, chance] of Object.entries(EXT4_FEATURES))
    if (random.chance(chance)) features.add(feature);
  // What the kernels we mount with may lack: quota formats, Unicode tables.
  if (mountable)
    for (const feature of ["quota", "project", "casefold", "mmp"]) features.delete(feature);
  if (mountable) features.add("has_journal");
  settleConflicts(random, features);
  // Replay of fast commits on block maps is an oops in Linux 6.18.
  if (mountable && !features.has("extent")) features.delete("fast_commit");
  return features;
}

function extendedOptions(random: Prng, features: ReadonlySet<string>): string[] {
  const options = ["root_owner=0:0", `hash_seed=${randomUuid(random)}`];
  if (features.has("casefold")) options.push("encoding=utf8");
  if (features.has("sparse_super2")) options.push(`num_backup_sb=${random.below(3)}`);
  if (random.chance(0.2)) options.push("stride=4", "stripe_width=16");
  if (features.has("flex_bg") && random.chance(0.15)) options.push("packed_meta_blocks=1");
  if (random.chance(0.5)) options.push(`lazy_itable_init=${random.below(2)}`);
  return options;
}

/** A random UUID in lower case with dashes. */
export function randomUuid(random: Prng): string {
  const hex = Buffer.from(random.bytes(16)).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

function geometry(random: Prng, features: ReadonlySet<string>, blockSize: number): string[] {
  const args = [
    "-b",
    `${blockSize}`,
    "-I",
    `${random.pick([128, 256, 256, 256, 512, 1024])}`,
    "-m",
    `${random.below(11)}`,
  ];
  if (features.has("bigalloc")) args.push("-C", `${blockSize * random.pick([2, 4, 8, 16])}`);
  else if (random.chance(0.4)) args.push("-g", `${random.pick([512, 1024, 2048, 4096])}`);
  if (features.has("flex_bg")) args.push("-G", `${random.pick([1, 2, 4, 8, 16, 64])}`);
  if (random.chance(0.3)) args.push("-N", `${1000 + random.below(4000)}`);
  return args;
}

/**
 * Draws the arguments of one image. mke2fs may still refuse some: draw again.
 *
 * @param mountable leaves out what a kernel without quota and Unicode tables cannot mount
 */
export function drawRecipe(random: Prng, mountable: boolean): ImageRecipe {
  const blockSize = random.pick([1024, 1024, 2048, 4096]);
  const size = (blockSize === 1024 ? 6 + random.below(20) : 8 + random.below(30)) * 1024 * 1024;
  const flavor = mountable
    ? "ext4"
    : random.pick(["ext2", "ext3", "ext4", "ext4", "ext4", "ext4", "ext4", "ext4"]);
  if (flavor !== "ext4") {
    const features = new Set(flavor === "ext3" ? ["has_journal"] : []);
    const options = random.chance(0.5)
      ? [
          "-O",
          random.pick([
            "dir_index",
            "^dir_index",
            "^resize_inode",
            "^sparse_super,^resize_inode",
            "meta_bg,^resize_inode",
          ]),
        ]
      : [];
    const args = [
      "-t",
      flavor,
      ...options,
      "-b",
      `${blockSize}`,
      "-I",
      `${random.pick([128, 256])}`,
      "-E",
      `root_owner=0:0,hash_seed=${randomUuid(random)}`,
    ];
    return { args: [...args, "-U", randomUuid(random)], size, blockSize, features };
  }
  const features = ext4Features(random, mountable);
  // Linux up to 6.2 has verity where a block is a page alone.
  if (mountable && blockSize < 4096) features.delete("verity");
  const all = Object.keys(EXT4_FEATURES).map((feature) =>
    features.has(feature) ? feature : `^${feature}`,
  );
  const args = ["-t", "ext4", "-O", all.join(","), ...geometry(random, features, blockSize)];
  args.push("-E", extendedOptions(random, features).join(","), "-U", randomUuid(random));
  if (features.has("has_journal"))
    args.push(
      "-J",
      features.has("fast_commit")
        ? "size=2,fast_commit_size=256"
        : `size=${1 + (1024 * blockSize) / 2 ** 20 - 1 + random.below(3)}`,
    );
  if (random.chance(0.5)) args.push("-L", `volume${random.below(1000)}`);
  return { args, size, blockSize, features };
}
