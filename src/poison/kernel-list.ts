/**
 * KernelList: what the kernel itself lists as bad of a live block device, in bytes of that device: `badblocks` of its disk and, of
 * persistent memory, of its region; `bad_blocks` of md, for a member and for the mirror above; of a device-mapper table the lists of the devices below, where
its rows only translate.
 *
 * A list that is there and empty is news too: `isListed` says that somebody keeps one. What could not be placed is told in `notes`, never left
 * aside in silence.
 */
import { basename, dirname, join } from "node:path";
import { endOf, intersect, intersection, RangeSet, SECTOR, type ByteRange } from "../base/index.ts";
import {
  blockNodeNamed,
  blockNodeNumbered,
  dmTable,
  sysfsNames,
  sysfsText,
  sysfsWhole,
  type BlockNode,
  type DmTableOptions,
  type SysfsOptions,
} from "../os/index.ts";
import { dmRows, upwards, type DmRow } from "./dm-rows.ts";
import { parseBadblocks } from "./texts/badblocks.ts";

/** What the kernel lists of a device. */
export interface KernelList {
  /** Ascending, apart, inside the device. */
  readonly ranges: readonly ByteRange[];
  /** Files that were read, and how many bad bytes of the device each names: also those that name none. */
  readonly sources: readonly { readonly path: string; readonly bytes: number }[];
  /** Whether anybody keeps a list of it. */
  readonly isListed: boolean;
  /** Whether a list was cut off, or is full: more may be bad. */
  readonly isIncomplete: boolean;
  /** Sentences for people. */
  readonly notes: readonly string[];
}

/** Where the system tells of devices. */
export interface KernelListOptions extends SysfsOptions, DmTableOptions {}

/** Reads the kernel's lists of a device. A file that is gone meanwhile is no list. */
export function kernelList(node: BlockNode, options: KernelListOptions = {}): KernelList {
  const gathered = new Gathered(node);
  gathered.add(join(node.diskFolder, "badblocks"), -node.start);
  addRegion(gathered, node);
  for (const holder of node.holders) addMember(gathered, node, holder);
  addMirror(gathered, node, options);
  addTable(gathered, node, options);
  return gathered.finish();
}

/** Files whose change (POLLPRI, or another text) means that the list of a device may be another one. */
export function kernelListFiles(
  node: BlockNode,
  options: KernelListOptions = {},
): readonly string[] {
  const region = regionOf(node);
  const below = legsBelow(node, options).flatMap(({ leaf }) => kernelListFiles(leaf, options));
  return [
    ...new Set(below),
    join(node.diskFolder, "badblocks"),
    ...(region === undefined ? [] : [join(region.folder, "badblocks")]),
  ].filter((path) => sysfsWhole(path) !== undefined);
}

/** Gathers the lists of one device. */
class Gathered {
  readonly #node: BlockNode;
  readonly #set = new RangeSet();
  readonly #sources: { path: string; bytes: number }[] = [];
  readonly notes: string[] = [];
  #isIncomplete = false;

  constructor(node: BlockNode) {
    this.#node = node;
  }

  /** Takes a text of records. @param shift bytes from its first sector to the device's: what stands there at the device's offset 0 has `-shift` */
  add(path: string, shift: number): void {
    const found = this.read(path, shift);
    if (found !== undefined) this.take(path, found);
  }

  take(path: string, ranges: Iterable<ByteRange>): void {
    let bytes = 0;
    for (const { offset, length } of ranges) {
      this.#set.add(offset, length);
      bytes += length;
    }
    this.#sources.push({ path, bytes });
  }

  /** The ranges of a text that lie on the device. @returns `undefined` where there is no such file */
  read(path: string, shift: number): readonly ByteRange[] | undefined {
    const text = sysfsWhole(path);
    if (text === undefined) return undefined;
    const whole = { offset: 0, length: this.#node.size };
    const list = parseBadblocks(text, { size: Number.MAX_SAFE_INTEGER, name: path });
    if (list.incomplete) {
      this.#isIncomplete = true;
      this.notes.push(...list.notes.map((note) => `${path}: ${note}`));
    }
    return list.ranges.flatMap(
      ({ offset, length }) => intersect({ offset: offset + shift, length }, whole) ?? [],
    );
  }

  finish(): KernelList {
    return {
      ranges: [...this.#set],
      sources: this.#sources,
      isListed: this.#sources.length > 0,
      isIncomplete: this.#isIncomplete,
      notes: this.notes,
    };
  }
}

interface Region {
  readonly folder: string;
  /** Bytes from the region's first to the device's. */
  readonly shift: number;
  /** The device that the block device is the face of: "pfn0.1", "namespace0.0", "btt0.1". */
  readonly kind: string;
}

/** Persistent memory: the region that its bytes are a window of. */
function regionOf(node: BlockNode): Region | undefined {
  // .../regionN/namespaceN.M/block/pmemN
  const parent = dirname(dirname(node.diskFolder));
  const folder = dirname(parent);
  if (basename(dirname(node.diskFolder)) !== "block" || !/^region\d+$/.test(basename(folder)))
    return undefined;
  const [own, all] = [addressIn(parent), addressIn(folder)];
  if (own === undefined || all === undefined) return undefined;
  return { folder, shift: Number(all - own) - node.start, kind: basename(parent) };
}

function addressIn(folder: string): bigint | undefined {
  const text = sysfsText(join(folder, "resource"));
  return text !== undefined && /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt(text) : undefined;
}

function addRegion(gathered: Gathered, node: BlockNode): void {
  const region = regionOf(node);
  if (region === undefined) return;
  if (region.kind.startsWith("btt")) {
    gathered.notes.push(
      `${node.name} is a sector-atomic device (BTT): the list of its region tells no places on it`,
    );
    return;
  }
  gathered.add(join(region.folder, "badblocks"), region.shift);
}

/** A member of an array: md counts its sectors from the member's first. */
function addMember(gathered: Gathered, node: BlockNode, holder: string): void {
  if (!/^md\d|^md_/.test(holder)) return;
  const folder = join(node.folder, "holders", holder, "md", `dev-${node.name}`);
  gathered.add(join(folder, "bad_blocks"), 0);
}

/** A mirror: what is bad on every leg that is in sync. Of other levels the places are not told. */
function addMirror(gathered: Gathered, node: BlockNode, options: SysfsOptions): void {
  const md = join(node.diskFolder, "md");
  const level = sysfsText(join(md, "level"));
  if (level === undefined) return;
  const legs = sysfsNames(md)
    .filter((name) => name.startsWith("dev-"))
    .filter((name) => (sysfsText(join(md, name, "state")) ?? "").includes("in_sync"));
  const lists = legs.map((name) => legList(gathered, node, { leg: join(md, name), options }));
  const named = lists.some((ranges) => ranges.length > 0);
  if (level !== "raid1") {
    if (named)
      gathered.notes.push(
        `Members of ${node.disk} (${level}) list bad blocks: their places on it are not told here`,
      );
    return;
  }
  const [first, ...rest] = lists;
  if (first === undefined) return;
  let all = RangeSet.from(first);
  for (const ranges of rest) all = intersection(all, RangeSet.from(ranges));
  gathered.take(join(md, "dev-*/bad_blocks"), all);
}

/** What md and the kernel list of a leg, in bytes of the mirror. */
function legList(
  gathered: Gathered,
  node: BlockNode,
  on: { readonly leg: string; readonly options: SysfsOptions },
): readonly ByteRange[] {
  const { leg, options } = on;
  const shift = -Number(sysfsText(join(leg, "offset")) ?? 0) * SECTOR - node.start;
  const own = gathered.read(join(leg, "bad_blocks"), shift) ?? [];
  const name = basename(leg).slice("dev-".length);
  let below: readonly ByteRange[] = [];
  try {
    const disk = blockNodeNamed(name, options);
    below = gathered.read(join(disk.diskFolder, "badblocks"), shift - disk.start) ?? [];
  } catch {
    // A leg that is gone has no list.
  }
  return [...RangeSet.from([...own, ...below])].filter((range) => endOf(range) > 0);
}

/** Rows of a device-mapper device, each leg with the device that it stands on. A partition of one is not looked into. */
function legsBelow(
  node: BlockNode,
  options: KernelListOptions,
): readonly { readonly row: DmRow; readonly index: number; readonly leaf: BlockNode }[] {
  const name = sysfsText(join(node.folder, "dm/name"));
  const table = name === undefined ? undefined : dmTable(name, options);
  return dmRows(table ?? "").flatMap((row) =>
    row.legs.flatMap(({ number }, index) => {
      const leaf = blockNodeNumbered(number, options);
      return leaf === undefined ? [] : [{ row, index, leaf }];
    }),
  );
}

function addTable(gathered: Gathered, node: BlockNode, options: KernelListOptions): void {
  const name = sysfsText(join(node.folder, "dm/name"));
  if (name === undefined) return;
  const table = dmTable(name, options);
  if (table === undefined) {
    gathered.notes.push(
      `The table of ${name} cannot be read (dmsetup, as root): lists of the devices below it are not told`,
    );
    return;
  }
  for (const { type, legs } of dmRows(table))
    if (legs.length === 0 && type !== "error" && type !== "zero")
      gathered.notes.push(
        `${name} has a row of ${type}: places on what is below it are not told here`,
      );
  for (const { row, index, leaf } of legsBelow(node, options)) {
    const list = kernelList(leaf, options);
    gathered.notes.push(...list.notes);
    for (const { path } of list.sources)
      gathered.take(
        path,
        list.ranges.flatMap((range) => Array.from(upwards(row, index, range))),
      );
  }
}
