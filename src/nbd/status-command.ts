/**
 * status-command: BLOCK_STATUS: holes by `base:allocation`, states by `x-theriac:poison`, the device's abilities by `x-theriac:device`.
 *
 * Answers from lists and from the file system's map of the image: no byte of the device is read, a bad one least of all. All contexts cover the
 * same length, which may be less than was asked for.
 */
import { endOf, roundDown, type ByteRange } from "../base/index.ts";
import {
  ALLOCATION_CONTEXT,
  deviceFlags,
  NBD_ALLOCATION,
  NBD_COMMAND_FLAG,
  POISON_CONTEXT,
  poisonFlags,
  type RequestHeader,
  type StatusExtent,
} from "../device/index.ts";
import type { Context } from "./contexts.ts";
import type { NbdExport } from "./export.ts";
import type { Replies } from "./replies.ts";

/** Extents of one context in one reply, at most. */
const EXTENTS_MAX = 4096;
/** Steps in which the end of data is looked for, in bytes, and how many there are at most for one request. */
const PROBE = 64 * 1024;
const PROBES_MAX = 4096;
/** Lengths that would end on an odd place just below 4 GiB end at a multiple of this instead. */
const CUT = 64 * 1024;

/** Answers a BLOCK_STATUS. */
export function replyStatus(
  request: RequestHeader,
  { face, replies, contexts }: { face: NbdExport; replies: Replies; contexts: readonly Context[] },
): void {
  const isOne = (request.flags & NBD_COMMAND_FLAG.REQ_ONE) !== 0;
  const range = { offset: request.offset, length: covered(face, request) };
  const answers = contexts.map(({ id, name }) => ({
    id,
    extents: collect(extentsOf(face, name, range), isOne ? 1 : EXTENTS_MAX),
  }));
  const length = Math.min(...answers.map(({ extents }) => sum(extents)));
  for (const [index, { id, extents }] of answers.entries())
    replies.status(request, { id, isLast: index === answers.length - 1 }, trim(extents, length));
}

/** What is told of: never past the export, and whole pieces where the client asked for nearly 4 GiB. */
function covered(face: NbdExport, { offset, length }: ByteRange): number {
  const isRagged = length > 2 ** 31 && offset + length < face.size;
  return isRagged ? roundDown(offset + length, CUT) - offset : length;
}

function extentsOf(face: NbdExport, name: string, range: ByteRange): Iterable<StatusExtent> {
  if (name === ALLOCATION_CONTEXT) return allocation(face, range);
  if (name === POISON_CONTEXT) return states(face, range);
  return [{ length: range.length, flags: deviceFlags(face.device.capabilities) }];
}

function* states(face: NbdExport, range: ByteRange): Generator<StatusExtent> {
  for (const { length, state } of face.device.poison.states(range))
    yield { length, flags: poisonFlags(state) };
}

/** Holes of the image. A bad byte is data, whatever lies below it: a client that took it for zeros would not read it (R1). */
function* allocation(face: NbdExport, range: ByteRange): Generator<StatusExtent> {
  const end = endOf(range);
  let probes = 0;
  for (let at = range.offset; at < end && probes < PROBES_MAX; probes += 1) {
    const hole = Math.min(face.holeFrom(at), end - at);
    if (hole > 0) yield { length: hole, flags: NBD_ALLOCATION.HOLE | NBD_ALLOCATION.ZERO };
    const length = hole > 0 ? hole : Math.min(roundDown(at, PROBE) + PROBE, end) - at;
    if (hole === 0) yield { length, flags: 0 };
    at += length;
  }
}

/** Neighbours of one status joined, up to a number of extents. */
function collect(extents: Iterable<StatusExtent>, most: number): StatusExtent[] {
  const joined: StatusExtent[] = [];
  for (const extent of extents) {
    const last = joined.at(-1);
    if (last !== undefined && last.flags === extent.flags)
      joined[joined.length - 1] = { ...last, length: last.length + extent.length };
    else if (joined.length === most) break;
    else joined.push(extent);
  }
  return joined;
}

function sum(extents: readonly StatusExtent[]): number {
  return extents.reduce((bytes, { length }) => bytes + length, 0);
}

function trim(extents: readonly StatusExtent[], length: number): StatusExtent[] {
  const kept: StatusExtent[] = [];
  let left = length;
  for (const extent of extents) {
    if (left === 0) break;
    kept.push({ ...extent, length: Math.min(extent.length, left) });
    left -= Math.min(extent.length, left);
  }
  return kept;
}
