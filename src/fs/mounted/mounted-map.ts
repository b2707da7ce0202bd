/**
 * MountedMap: whose bytes are these, for one file of a mounted file system: the kernel's own extents (FIEMAP), and no byte of the device.
 *
 * The volume is the file itself, up to the end of its last block: what lies behind its size there is slack, and is healed with it. Where a part cannot be
 * written in place, its owner says why and what is done instead: a write through the kernel would move it, or change what others hold.
 */
import { endOf, intersect, type ByteRange } from "../../base/index.ts";
import type { ExtentFlaw, FileExtent } from "../../os/index.ts";
import type { Extent, ExtentOptions, FileInfo, FileMap, OwnedRange, Owner } from "../file-map.ts";
import type { MountedPlace } from "./mounted-place.ts";

/** What the kernel tells of the file. */
export interface MountedFacts {
  readonly inode: number;
  /** Bytes of content. */
  readonly size: number;
  readonly modifiedNs: bigint;
  /** Ascending; holes left out. */
  readonly extents: readonly FileExtent[];
}

/** What a map of a live file is made of. */
export interface MountedMapParts {
  readonly place: MountedPlace;
  readonly facts: MountedFacts;
  /** Bytes of a block of the file system. */
  readonly blockSize: number;
  /** Bytes of the file up to the end of its last block. */
  readonly size: number;
  /** Why nothing of the file may be written; `undefined` where parts may. */
  readonly refusal?: string | undefined;
  /** Asks the kernel again. */
  readonly reread: () => MountedFacts;
}

/** What a flaw means for a write, and the way out. */
const WAYS: Readonly<Record<ExtentFlaw, string>> = {
  shared:
    "other files share its blocks (reflink), so a write would move this one to new blocks: replace the file as a whole from the backup, or repair the unmounted device, which heals it for all",
  encoded:
    "it is compressed or encrypted on the device, so its bytes there are other ones: replace the file as a whole from the backup",
  inline:
    "its content stands inside the inode, which the kernel writes as a whole: replace the file from the backup, or repair the unmounted device",
  delayed: "it has no place on the device yet (delayed allocation): sync the file, then try again",
  unknown:
    "the kernel does not say where it lies: replace the file as a whole from the backup, or repair the unmounted device",
};
const UNWRITTEN =
  "it is allocated and was never written: it reads as zeros, nothing is missing, and a write would change the extent: fallocate --punch-hole gives the blocks back";

/** The map of one live file. */
export class MountedMap implements FileMap {
  readonly filesystem: string;
  readonly checker: string;
  readonly uuid: string = "";
  readonly label: string = "";
  readonly size: number;
  readonly blockSize: number;
  readonly journal: FileMap["journal"];
  readonly problems: FileMap["problems"] = [];
  readonly generation: string;
  readonly #parts: MountedMapParts;

  constructor(parts: MountedMapParts) {
    const { place, facts } = parts;
    this.#parts = parts;
    this.filesystem = place.mount.type;
    this.checker = place.mount.type === "xfs" ? "xfs_repair" : "e2fsck -f";
    this.size = parts.size;
    this.blockSize = parts.blockSize;
    this.journal = {
      status: "none",
      pending: false,
      sequence: 0,
      message: "mounted: the kernel answers for its journal",
    };
    this.generation = `${facts.inode}:${facts.size}:${facts.modifiedNs}:${textOf(facts.extents)}`;
  }

  owners(ranges: Iterable<ByteRange>): readonly OwnedRange[] {
    const owned: OwnedRange[] = [];
    for (const range of ranges)
      for (const part of this.#partsOf(range)) owned.push({ ...part.range, owners: [part.owner] });
    return owned;
  }

  *#partsOf(range: ByteRange): Generator<{ range: ByteRange; owner: Owner }> {
    const { facts, size } = this.#parts;
    const content = { offset: 0, length: facts.size };
    const slack = { offset: facts.size, length: Math.max(0, size - facts.size) };
    for (const extent of this.extents(facts.inode, { pastEnd: true })) {
      const inside = intersect(extent, range);
      if (inside === undefined) continue;
      const data = intersect(inside, content);
      const rest = intersect(inside, slack);
      if (data !== undefined) yield { range: data, owner: this.#owner(extent, data) };
      if (rest !== undefined) yield { range: rest, owner: this.#slack(rest, extent) };
    }
  }

  #owner(extent: Extent, range: ByteRange): Owner {
    const { place, facts } = this.#parts;
    const base = { inode: facts.inode, paths: [place.inside, place.path], ranges: [range] };
    const refusal = this.#parts.refusal ?? extent.why;
    const refused = refusal === undefined ? {} : { refusal };
    if (extent.kind === "hole" || extent.kind === "unwritten")
      return {
        ...base,
        ...refused,
        kind: "slack",
        what: "unwritten",
        why: "It reads as zeros: nothing is missing",
      };
    return { ...base, ...refused, kind: "file", what: "data", why: "Content of the file" };
  }

  #slack(range: ByteRange, extent: Extent): Owner {
    const { place, facts } = this.#parts;
    const refusal = this.#parts.refusal ?? extent.why;
    return {
      kind: "slack",
      what: "file-slack",
      inode: facts.inode,
      paths: [place.inside],
      ranges: [range],
      ...(refusal === undefined ? {} : { refusal }),
      why: "The rest of the file's last block: nothing is missing, but programs may fail to read the page",
    };
  }

  extents(inode: number, options: ExtentOptions = {}): readonly Extent[] {
    const { facts, size } = this.#parts;
    if (inode !== facts.inode) return [];
    const end = options.pastEnd === true ? size : facts.size;
    const from = options.offset ?? 0;
    const length = Math.max(0, Math.min(end, from + (options.length ?? end)) - from);
    return clipped(extentsOf(facts.extents, size), { offset: from, length });
  }

  /** Where the file really lies: the offsets of this volume are the file's own, which nothing moves. */
  placement(inode: number): string {
    const { facts } = this.#parts;
    return inode === facts.inode ? textOf(facts.extents) : "";
  }

  reopen(): MountedMap {
    return new MountedMap({ ...this.#parts, facts: this.#parts.reread() });
  }

  info(inode: number): FileInfo | undefined {
    const { facts } = this.#parts;
    if (inode !== facts.inode) return undefined;
    return {
      inode,
      kind: "file",
      size: facts.size,
      modifiedNs: facts.modifiedNs,
      generation: 0,
      links: 1,
      encrypted: false,
      verity: false,
    };
  }

  lookup(path: string): number | undefined {
    const { place, facts } = this.#parts;
    return path === place.inside || path === place.path ? facts.inode : undefined;
  }

  paths(inode: number): readonly string[] {
    const { place, facts } = this.#parts;
    return inode === facts.inode ? [place.inside] : [];
  }

  async *files(): AsyncIterable<FileInfo & { readonly paths: readonly string[] }> {
    const { facts } = this.#parts;
    const info = this.info(facts.inode);
    if (info !== undefined) yield Object.assign(info, { paths: this.paths(facts.inode) });
  }

  used(): Iterable<ByteRange> {
    return [{ offset: 0, length: this.size }];
  }
}

/** Extents of the volume, whose offsets are the file's own. */
function extentsOf(found: readonly FileExtent[], size: number): readonly Extent[] {
  const extents: Extent[] = [];
  let at = 0;
  for (const { offset, length, isUnwritten, flaw } of found) {
    if (offset >= size) break;
    if (offset > at) extents.push({ offset: at, length: offset - at, kind: "hole" });
    const why = flaw === undefined ? (isUnwritten ? UNWRITTEN : undefined) : WAYS[flaw];
    extents.push({
      offset,
      length: Math.min(length, size - offset),
      kind: isUnwritten ? "unwritten" : "data",
      device: offset,
      ...(why === undefined ? {} : { why }),
    });
    at = offset + length;
  }
  if (at < size) extents.push({ offset: at, length: size - at, kind: "hole" });
  return extents;
}

function clipped(extents: readonly Extent[], range: ByteRange): readonly Extent[] {
  return extents.flatMap((extent) => {
    const part = intersect(extent, range);
    if (part === undefined) return [];
    const { device } = extent;
    const moved = device === undefined ? {} : { device: device + part.offset - extent.offset };
    return [{ ...extent, ...part, ...moved }];
  });
}

function textOf(extents: readonly FileExtent[]): string {
  return JSON.stringify(
    extents.map(({ offset, length, physical, isUnwritten, flaw }) => [
      offset,
      length,
      physical,
      isUnwritten,
      flaw ?? "",
    ]),
  );
}

/** What of a device range lies in a file's written or unwritten extents, in bytes of the file. */
export function* inFile(extents: readonly FileExtent[], range: ByteRange): Generator<ByteRange> {
  for (const { offset, length, physical, flaw } of extents) {
    if (flaw === "inline" || flaw === "delayed" || flaw === "unknown") continue;
    const part = intersect({ offset: physical, length }, range);
    if (part !== undefined) yield { offset: offset + part.offset - physical, length: part.length };
  }
}

/** Where a range of a file lies on the device; what has no plain place there is left out. */
export function* onDevice(
  extents: readonly FileExtent[],
  range: ByteRange,
): Generator<ByteRange & { readonly at: number }> {
  for (const extent of extents) {
    if (extent.offset >= endOf(range)) return;
    const part = intersect(extent, range);
    const isPlain = !extent.isUnwritten && (extent.flaw === undefined || extent.flaw === "shared");
    if (part !== undefined && isPlain)
      yield { ...part, at: extent.physical + part.offset - extent.offset };
  }
}
