/**
 * Features: the three words of feature flags in a superblock, by the names that mke2fs and dumpe2fs print.
 *
 * The words differ in what an unknown bit means (kernel: fs/ext4/super.c, ext4_feature_set_ok): an unknown "incompat" bit
 * means that nobody may even read, so the map answers "unknown" (design, "FileMap"); the other two change nothing for a reader.
 */
import type { Superblock } from "./superblock.ts";

const COMPAT = {
  dir_prealloc: 0x1,
  imagic_inodes: 0x2,
  has_journal: 0x4,
  ext_attr: 0x8,
  resize_inode: 0x10,
  dir_index: 0x20,
  lazy_bg: 0x40,
  snapshot_bitmap: 0x100,
  sparse_super2: 0x200,
  fast_commit: 0x400,
  stable_inodes: 0x800,
  orphan_file: 0x1000,
} as const;

const INCOMPAT = {
  compression: 0x1,
  filetype: 0x2,
  needs_recovery: 0x4,
  journal_dev: 0x8,
  meta_bg: 0x10,
  extent: 0x40,
  "64bit": 0x80,
  mmp: 0x100,
  flex_bg: 0x200,
  ea_inode: 0x400,
  dirdata: 0x1000,
  metadata_csum_seed: 0x2000,
  large_dir: 0x4000,
  inline_data: 0x8000,
  encrypt: 0x10000,
  casefold: 0x20000,
} as const;

const READ_ONLY_COMPAT = {
  sparse_super: 0x1,
  large_file: 0x2,
  btree_dir: 0x4,
  huge_file: 0x8,
  uninit_bg: 0x10,
  dir_nlink: 0x20,
  extra_isize: 0x40,
  has_snapshot: 0x80,
  quota: 0x100,
  bigalloc: 0x200,
  metadata_csum: 0x400,
  replica: 0x800,
  read_only: 0x1000,
  project: 0x2000,
  shared_blocks: 0x4000,
  verity: 0x8000,
  orphan_present: 0x10000,
} as const;

/** Name of a feature, as mke2fs spells it. */
export type Feature = keyof typeof COMPAT | keyof typeof INCOMPAT | keyof typeof READ_ONLY_COMPAT;

/** Incompatible features that are named but that this map cannot read: their content is laid out in an unsupported way. */
const UNSUPPORTED: readonly (keyof typeof INCOMPAT)[] = ["compression", "dirdata"];

type Flags = Pick<Superblock, "featureCompat" | "featureIncompat" | "featureReadOnlyCompat">;

type Word = keyof Flags;

/** Word and bit of each feature: asked for on hot paths, so one look-up. */
const BITS: ReadonlyMap<string, { readonly word: Word; readonly mask: number }> = new Map(
  (
    [
      ["featureCompat", COMPAT],
      ["featureIncompat", INCOMPAT],
      ["featureReadOnlyCompat", READ_ONLY_COMPAT],
    ] as const
  ).flatMap(([word, bits]) =>
    Object.entries(bits).map(([name, mask]) => [name, { word, mask }] as const),
  ),
);

/** Whether a superblock has a feature. */
export function hasFeature(superblock: Flags, feature: Feature): boolean {
  const bit = BITS.get(feature);
  return bit !== undefined && (superblock[bit.word] & bit.mask) !== 0;
}

/** Whether group descriptors carry a checksum, and so whether their "uninit" flags mean anything. */
export function hasDescriptorChecksums(superblock: Flags): boolean {
  return hasFeature(superblock, "uninit_bg") || hasFeature(superblock, "metadata_csum");
}

function names(word: number, known: Readonly<Record<string, number>>, prefix: string): string[] {
  const out: string[] = [];
  for (let bit = 0; bit < 32; bit += 1) {
    const mask = 2 ** bit;
    if (((word >>> bit) & 1) === 0) continue;
    out.push(Object.keys(known).find((name) => known[name] === mask) ?? `${prefix}${bit}`);
  }
  return out;
}

/** Every feature of a superblock by name; a bit without a name is `FEATURE_C12`, `FEATURE_I30` or `FEATURE_R7`, as dumpe2fs prints it. */
export function featureNames(superblock: Flags): readonly string[] {
  return [
    ...names(superblock.featureCompat, COMPAT, "FEATURE_C"),
    ...names(superblock.featureIncompat, INCOMPAT, "FEATURE_I"),
    ...names(superblock.featureReadOnlyCompat, READ_ONLY_COMPAT, "FEATURE_R"),
  ];
}

/**
 * Incompatible features that the map cannot read: without a name, or named in `UNSUPPORTED`. Where it is not empty no owner may
 * be told, only "unknown".
 */
export function unknownIncompatible(superblock: Flags): readonly string[] {
  const all = names(superblock.featureIncompat, INCOMPAT, "FEATURE_I");
  return all.filter(
    (name) => !(name in INCOMPAT) || UNSUPPORTED.some((unsupported) => unsupported === name),
  );
}
