/**
 * Log: whether it is empty, that is whether its last record is an unmount. It is not replayed: owners are as of the last checkpoint.
 *
 * Every 512 bytes of the log begin with the number of the pass that wrote them (the cycle), record headers with a magic number and then the
 * cycle. Behind the head stand blocks of the pass before, so the head is found by halving (kernel: xlog_find_head). What cannot be read makes
 * the log count as dirty.
 */
import type { JournalState } from "../file-map.ts";
import { viewOf } from "./checksum.ts";
import { plainBlock } from "./geometry.ts";
import type { XfsVolume } from "./volume.ts";

const RECORD_MAGIC = 0xfeedbabe;
const BLOCK = 512;
/** A record header tells of 32 KiB; longer records have more headers. */
const HEADER_COVERS = 32 * 1024;
/** Blocks searched backwards for the last record's header: the longest record is 256 KiB. */
const SEARCH_BLOCKS = 1024;
/** Flag of an operation: an unmount record. */
const UNMOUNT = 0x20;

interface Log {
  readonly volume: XfsVolume;
  /** First byte on the volume. */
  readonly offset: number;
  /** Blocks of 512 bytes. */
  readonly blocks: number;
}

/** What the log says of how current the volume is. */
export async function readLog(volume: XfsVolume): Promise<JournalState> {
  const { logStart, logBlocks, blockSize } = volume.superblock;
  if (logStart === 0) {
    const message = "The log is on another device: owners are as of its last checkpoint";
    return { status: "external", pending: true, sequence: 0, message };
  }
  const start = plainBlock(volume.superblock, logStart, Math.max(1, logBlocks));
  if (start === undefined) return unreadable("The log is said to be outside the file system");
  const log: Log = { volume, offset: start * blockSize, blocks: (logBlocks * blockSize) / BLOCK };
  const head = await findHead(log);
  return typeof head === "string" ? unreadable(head) : stateAt(log, head);
}

function unreadable(what: string): JournalState {
  const message = `${what}: whether it is empty is unknown, so owners may be older than what it holds`;
  return { status: "unreadable", pending: true, sequence: 0, message };
}

async function blockAt(log: Log, index: number): Promise<DataView | undefined> {
  const read = await log.volume.readBytes(log.offset + index * BLOCK, BLOCK);
  return read.bad.length > 0 ? undefined : viewOf(read.bytes);
}

/** The pass that wrote a block; `undefined` where it cannot be read. */
async function cycleAt(log: Log, index: number): Promise<number | undefined> {
  const view = await blockAt(log, index);
  if (view === undefined) return undefined;
  const first = view.getUint32(0);
  return first === RECORD_MAGIC ? view.getUint32(4) : first;
}

interface Head {
  /** Block that is written next, and the pass that wrote the one before it. */
  readonly block: number;
  readonly cycle: number;
}

async function findHead(log: Log): Promise<Head | string> {
  const first = await cycleAt(log, 0);
  const last = await cycleAt(log, log.blocks - 1);
  if (first === undefined || last === undefined) return "The log cannot be read whole";
  if (first === last) return { block: 0, cycle: first };
  let low = 0;
  let high = log.blocks - 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const cycle = await cycleAt(log, middle);
    if (cycle === undefined) return "The log cannot be read whole";
    if (cycle === first) low = middle;
    else high = middle;
  }
  return { block: high, cycle: first };
}

async function stateAt(log: Log, head: Head): Promise<JournalState> {
  const sequence = Math.min(Number.MAX_SAFE_INTEGER, head.cycle * 2 ** 32 + head.block);
  const empty: JournalState = {
    status: "none",
    pending: false,
    sequence,
    message: "The log is empty",
  };
  if (head.cycle === 0) return empty;
  const most = Math.min(log.blocks, SEARCH_BLOCKS);
  for (let back = 1; back <= most; back += 1) {
    const index = (head.block - back + log.blocks) % log.blocks;
    const view = await blockAt(log, index);
    if (view === undefined) return unreadable("The log cannot be read at its head");
    if (view.getUint32(0) !== RECORD_MAGIC) continue;
    return (await isUnmount(log, { index, view, distance: back })) ? empty : dirty(sequence);
  }
  return dirty(sequence);
}

function dirty(sequence: number): JournalState {
  const message =
    "The log holds changes that are not replayed: owners are as of its last checkpoint";
  return { status: "checkpoint", pending: true, sequence, message };
}

/** Whether the record at a block is an unmount, and nothing follows it up to the head. */
async function isUnmount(
  log: Log,
  record: { readonly index: number; readonly view: DataView; readonly distance: number },
): Promise<boolean> {
  const { view, index, distance } = record;
  const version = view.getUint32(8);
  const length = view.getUint32(12);
  const operations = view.getUint32(40);
  const size = version === 2 ? view.getUint32(320) : HEADER_COVERS;
  const headers = version === 2 && size > HEADER_COVERS ? Math.ceil(size / HEADER_COVERS) : 1;
  if (operations !== 1 || length < 12 || headers + Math.ceil(length / BLOCK) !== distance)
    return false;
  const data = await blockAt(log, (index + headers) % log.blocks);
  return data !== undefined && (data.getUint8(9) & UNMOUNT) !== 0;
}
