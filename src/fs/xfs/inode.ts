/** Inode: the core of one slot (kernel: struct xfs_dinode), checked, and where its forks are. */
import { checksumOk, uuidIs, viewOf, wideAt } from "./checksum.ts";
import type { FileInfo } from "../file-map.ts";
import { inodePlace } from "./geometry.ts";
import type { XfsVolume } from "./volume.ts";

/** How a fork is kept: a device number, in the inode, as a list of extents, as a B+tree of them, as a B+tree of metadata. */
export type ForkFormat = "device" | "local" | "extents" | "tree" | "metadata-tree" | "none";

/** What an inode of metadata is (feature metadir; kernel: enum xfs_metafile_type), by number. */
const METADATA_KINDS = [
  "unknown",
  "directory",
  "user-quota",
  "group-quota",
  "project-quota",
  "realtime-bitmap",
  "realtime-summary",
  "realtime-reverse-map",
  "realtime-reference-counts",
] as const;

/** What an inode of metadata is. */
export type MetadataKind = (typeof METADATA_KINDS)[number];

/** One fork of an inode: the map of its data, or of its attributes. */
export interface Fork {
  readonly format: ForkFormat;
  /** First byte in the slot, and how many. */
  readonly start: number;
  readonly length: number;
  /** Extents that the inode says it has. */
  readonly extents: number;
}

/** One inode. */
export interface Inode {
  readonly number: number;
  /** First byte of its slot on the volume. */
  readonly device: number;
  /** Its bytes: valid as long as what it was decoded from. */
  readonly slot: Uint8Array;
  readonly mode: number;
  readonly kind: FileInfo["kind"];
  readonly size: number;
  readonly links: number;
  readonly generation: number;
  /** Whether its times are of the large form. */
  readonly bigTimes: boolean;
  /** Its data is on the real-time device. */
  readonly realtime: boolean;
  /** Some of its blocks may be shared with other files. */
  readonly reflinked: boolean;
  /** What it holds for the file system itself; `undefined` of all others. */
  readonly metadata: MetadataKind | undefined;
  readonly data: Fork;
  readonly attributes: Fork;
  /** Why it is not believed. */
  readonly doubt: string | undefined;
}

/** Where the core ends on v5, and where the forks begin on v4. */
const CORE_V3 = 176;
const CORE_V2 = 100;
const FORMATS: readonly ForkFormat[] = [
  "device",
  "local",
  "extents",
  "tree",
  "none",
  "metadata-tree",
];
/** Seconds before 1970 at which big times begin. */
const BIG_TIME_EPOCH = 2n ** 31n;
const FLAGS2 = { reflink: 2, bigTime: 8, largeCounts: 16, metadata: 32 };

/** Decodes a slot. What makes it unbelievable is told in `doubt`; `undefined` of what is no inode at all. */
export function decodeInode(
  volume: XfsVolume,
  number: number,
  slot: Uint8Array,
): Inode | undefined {
  const view = viewOf(slot);
  if (view.getUint16(0) !== 0x494e) return undefined;
  const version = slot[4]!;
  const third = version >= 3;
  const flags2 = third ? view.getUint32(124) : 0;
  const mode = view.getUint16(2);
  const core = third ? CORE_V3 : CORE_V2;
  const forkOffset = slot[82]! * 8;
  const length = slot.length - core;
  const dataLength = forkOffset > 0 && forkOffset < length ? forkOffset : length;
  const large = (flags2 & FLAGS2.largeCounts) !== 0;
  const counts = large
    ? { data: wideAt(view, 24), attributes: view.getUint32(76) }
    : { data: view.getUint32(76), attributes: view.getUint16(80) };
  return {
    number,
    device: inodePlace(volume.superblock, number)?.offset ?? 0,
    slot,
    mode,
    kind: kindOf(mode),
    size: wideAt(view, 56),
    links: version === 1 ? view.getUint16(6) : view.getUint32(16),
    generation: view.getUint32(92),
    bigTimes: (flags2 & FLAGS2.bigTime) !== 0,
    realtime: (view.getUint16(90) & 1) !== 0 && kindOf(mode) === "file",
    reflinked: (flags2 & FLAGS2.reflink) !== 0,
    metadata: (flags2 & FLAGS2.metadata) === 0 ? undefined : metadataKind(view.getUint16(6)),
    data: {
      format: FORMATS[slot[5]!] ?? "none",
      start: core,
      length: dataLength,
      extents: counts.data,
    },
    attributes: {
      format: forkOffset === 0 ? "none" : (FORMATS[slot[83]!] ?? "none"),
      start: core + dataLength,
      length: length - dataLength,
      extents: counts.attributes,
    },
    doubt: inodeDoubt(volume, number, slot),
  };
}

/** Why a slot is not believed; `undefined` where it is. */
export function inodeDoubt(
  volume: XfsVolume,
  number: number,
  slot: Uint8Array,
): string | undefined {
  const { features, stamp } = volume.superblock;
  const view = viewOf(slot);
  const version = slot[4]!;
  if (features.checksums) {
    if (version !== 3) return `its version is ${version}, want 3`;
    if (!checksumOk(slot, 100)) return "its checksum is wrong";
    if (wideAt(view, 152) !== number) return "it says that it is another inode";
    if (!uuidIs(slot, 160, stamp)) return "it is of another volume";
  } else if (version < 1 || version > 2) return `its version is ${version}, want 1 or 2`;
  if (!Number.isSafeInteger(wideAt(view, 56))) return "its size is impossible";
  if (slot[82]! * 8 >= slot.length - (version >= 3 ? CORE_V3 : CORE_V2))
    return "its fork offset is impossible";
  const most = features.metadataDirectories ? 5 : 3;
  if ((slot[5]! > most || slot[5] === 4) && view.getUint16(2) !== 0)
    return `its format ${slot[5]!} is not known`;
  return undefined;
}

function metadataKind(number: number): MetadataKind {
  return METADATA_KINDS[number] ?? "unknown";
}

function kindOf(mode: number): Inode["kind"] {
  const type = mode & 0o170000;
  if (type === 0o100000) return "file";
  if (type === 0o040000) return "directory";
  return type === 0o120000 ? "symlink" : "other";
}

function timeAt(view: DataView, at: number, big: boolean): bigint {
  if (big) return view.getBigUint64(at) - BIG_TIME_EPOCH * 1_000_000_000n;
  return BigInt(view.getInt32(at)) * 1_000_000_000n + BigInt(view.getUint32(at + 4));
}

/** What the map tells of an inode. */
export function infoOf(inode: Inode): FileInfo {
  const { number, kind, size, generation, links } = inode;
  const modifiedNs = timeAt(viewOf(inode.slot), 40, inode.bigTimes);
  return {
    inode: number,
    kind,
    size,
    modifiedNs,
    generation,
    links,
    encrypted: false,
    verity: false,
  };
}

/** An inode in use that is believed, a copy, or why there is none. */
export async function readInode(volume: XfsVolume, number: number): Promise<Inode | string> {
  const place = inodePlace(volume.superblock, number);
  if (place === undefined) return `Inode ${number} is outside the file system`;
  const read = await volume.readBytes(place.offset, volume.superblock.inodeSize);
  if (read.bad.length > 0) return `Inode ${number} cannot be read`;
  const inode = decodeInode(volume, number, read.bytes.slice());
  if (inode === undefined) return `Inode ${number} does not exist: its place holds none`;
  if (inode.doubt !== undefined) return `Inode ${number} is not believed: ${inode.doubt}`;
  return inode.mode === 0 ? `Inode ${number} is not in use` : inode;
}
