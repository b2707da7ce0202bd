/**
 * device-lists: whom to ask which bytes of a device are bad, by what the device is.
 *
 * | device | asked |
 * |---|---|
 * | any block device | the kernel's own lists, where it keeps one: of the disk, of pmem's region, of md |
 * | `pmem*` without such a list | `ndctl list -M` |
 * | `sd*` | `sg_get_lba_status` |
 * | `nvme*n*` | `nvme get-lba-status` |
 * | `/dev/cxl/mem*`, which is no block device | `cxl list -L` |
 */
import { statSync } from "node:fs";
import { difference, intersect, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import {
  blockNodeNamed,
  blockNodeOf,
  nodeFiles,
  runProgram,
  type BlockNode,
  type ProgramRunner,
  type SysfsOptions,
} from "../../os/index.ts";
import { blockStatePath } from "../../device/index.ts";
import { kernelList, openPoisonStore } from "../../poison/index.ts";
import { unlockedFiles } from "../unlocked-files.ts";
import { cxlList, ndctlList } from "./json-lists.ts";
import type { ListSource, SourceAnswer } from "./list-source.ts";
import { nvmeLbaStatus } from "./nvme-lba-status.ts";
import { sgLbaStatus } from "./sg-lba-status.ts";

/** What is asked, and how. */
export interface DeviceListOptions extends SysfsOptions {
  /** Runs programs. @default the machine's */
  readonly run?: ProgramRunner;
}

/** A device and whom to ask about it. */
export interface ListedDevice {
  /** Bytes; 0 where only its list tells. */
  readonly size: number;
  readonly sources: readonly ListSource[];
}

/** The sources of a device by its path; `undefined` where it is neither a block device nor a CXL memory device. @throws {StorageError} ENOENT */
export function listedDevice(
  path: string,
  options: DeviceListOptions = {},
): ListedDevice | undefined {
  const memdev = memdevOf(path);
  if (memdev !== undefined)
    return { size: 0, sources: [cxlList(memdev, options.run ?? runProgram)] };
  const node = blockNodeOf(path, options);
  return (
    node && {
      size: node.size,
      sources: [...blockSources(node, options), ...rememberedSources(node)],
    }
  );
}

/** The sources of a block device. */
export function blockSources(
  node: BlockNode,
  options: DeviceListOptions = {},
): readonly ListSource[] {
  const { run = runProgram } = options;
  const { disk, logicalBlock } = node;
  const size = node.partition === undefined ? node.size : blockNodeNamed(disk, options).size;
  const whole = { path: `/dev/${disk.replaceAll("!", "/")}`, blockSize: logicalBlock, size };
  const isListed = readKernel(node, options).absent !== true;
  const sources: ListSource[] = isListed
    ? [{ name: KERNEL, read: async () => readKernel(node, options) }]
    : [];
  const program = /^pmem\d/.test(disk)
    ? isListed
      ? undefined
      : ndctlList({ name: disk, size }, run)
    : /^sd[a-z]+$/.test(disk)
      ? sgLbaStatus(whole, run)
      : /^nvme\d+n\d+$/.test(disk)
        ? nvmeLbaStatus(whole, run)
        : undefined;
  if (program !== undefined) sources.push(within(program, node));
  return sources;
}

const KERNEL = "kernel";

function readKernel(
  node: BlockNode,
  options: SysfsOptions,
): SourceAnswer & { readonly absent?: boolean } {
  try {
    const { ranges, isIncomplete, isListed, notes } = kernelList(node, options);
    if (!isListed)
      return { source: KERNEL, why: `the kernel keeps no list of ${node.name}`, absent: true };
    return { source: KERNEL, ranges, incomplete: isIncomplete, notes };
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { source: KERNEL, why: error.message, absent: false };
  }
}

/** What Theriac itself remembers of a device: bytes that a heal cleared, and that got no data since. What is remembered as bad the kernel knows better. */
function rememberedSources(node: BlockNode): readonly ListSource[] {
  const path = blockStatePath(node);
  if (nodeFiles.info(path) === undefined) return [];
  return [{ name: REMEMBERED, read: async () => readRemembered(path, node.size) }];
}

const REMEMBERED = "remembered";

function readRemembered(path: string, size: number): SourceAnswer {
  try {
    const store = openPoisonStore(unlockedFiles, { path, size });
    try {
      const lost: ByteRange[] = [];
      for (const { offset, length, state } of store.list.bad({ offset: 0, length: size }))
        if (state === "lost") lost.push({ offset, length });
      return { source: REMEMBERED, ranges: [], lost, incomplete: false, notes: [] };
    } finally {
      store.close();
    }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { source: REMEMBERED, why: error.message, absent: false };
  }
}

/** "mem0" of `/dev/cxl/mem0`. */
function memdevOf(path: string): string | undefined {
  const name = /^\/dev\/cxl\/(mem\d+)$/.exec(path)?.[1];
  return name !== undefined && statSync(path, { throwIfNoEntry: false }) !== undefined
    ? name
    : undefined;
}

/** A source of a whole disk, for the device that is a part of it. */
function within(source: ListSource, { start, size }: BlockNode): ListSource {
  return {
    name: source.name,
    async read(signal) {
      const answer = await source.read(signal);
      if (!("ranges" in answer)) return answer;
      const ranges: ByteRange[] = [];
      for (const range of answer.ranges) {
        const own = intersect(range, { offset: start, length: size });
        if (own !== undefined) ranges.push({ offset: own.offset - start, length: own.length });
      }
      return { ...answer, ranges };
    },
  };
}

/** What programs name of a device beside the kernel's own list, for who reads that himself: in bytes of the device, with notes on programs that failed. */
export async function programList(
  node: BlockNode,
  options: DeviceListOptions = {},
): Promise<Pick<DeviceList, "ranges" | "notes">> {
  const sources = blockSources(node, options).filter(({ name }) => name !== KERNEL);
  const { ranges, answers } = await readDeviceLists(sources);
  const notes = answers.flatMap((answer) => {
    if ("why" in answer) return answer.absent ? [] : [`${answer.source}: ${answer.why}`];
    return answer.notes.map((note) => `${answer.source}: ${note}`);
  });
  return { ranges, notes };
}

/** All lists of a device as one. */
export interface DeviceList {
  readonly ranges: readonly ByteRange[];
  readonly lost: readonly ByteRange[];
  /** Bytes of the device, where only a list tells. */
  readonly size: number | undefined;
  /** Whether there may be more: a list says so, or one that is there could not be read, or the device has none. */
  readonly incomplete: boolean;
  readonly notes: readonly string[];
  readonly answers: readonly SourceAnswer[];
}

/** Asks every source once. */
export async function readDeviceLists(
  sources: readonly ListSource[],
  signal?: AbortSignal,
): Promise<DeviceList> {
  const answers: SourceAnswer[] = [];
  for (const source of sources) answers.push(await source.read(signal));
  const all = new RangeSet();
  const lost = new RangeSet();
  let size: number | undefined;
  const notes: string[] = [];
  let incomplete = !answers.some((answer) => "ranges" in answer);
  for (const answer of answers) {
    if ("why" in answer) {
      notes.push(`${answer.source}: ${answer.why}`);
      incomplete ||= !answer.absent;
      continue;
    }
    for (const { offset, length } of answer.ranges) all.add(offset, length);
    for (const { offset, length } of answer.lost ?? []) lost.add(offset, length);
    size ??= answer.size;
    notes.push(...answer.notes.map((note) => `${answer.source}: ${note}`));
    incomplete ||= answer.incomplete;
  }
  return { ranges: [...difference(all, lost)], lost: [...lost], size, incomplete, notes, answers };
}
