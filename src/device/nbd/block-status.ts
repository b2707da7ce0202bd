/** block-status: what a server says of ranges without reading them: holes, poison, and the device behind the export. */
import { endOf, StorageError, type ByteRange } from "../../base/index.ts";
import type { StatusExtent } from "./chunks.ts";
import { ALLOCATION_CONTEXT } from "./poison-context.ts";
import { NBD_ALLOCATION, NBD_COMMAND } from "./protocol.ts";
import type { NbdSession } from "./session.ts";

/** Bytes that one request asks about: a unit of every server, and within 32 bits. */
const SPAN = 1024 * 1024 * 1024;

/** Runs of one status, ascending, without gaps, inside the range that was asked for. */
export type StatusRuns = readonly (ByteRange & { readonly flags: number })[];

/** Runs by context, as far as each came: a server may stop early. */
export type BlockStatuses = ReadonlyMap<string, StatusRuns>;

/**
 * Asks about a range once, whole blocks of the server's.
 *
 * @returns what each context says of the beginning of the range; nothing where the server cannot tell
 */
export async function blockStatus(session: NbdSession, range: ByteRange): Promise<BlockStatuses> {
  const length = Math.min(range.length, SPAN);
  const statuses = new Map<string, StatusRuns>();
  let contexts: ReadonlyMap<string, number> = new Map();
  const reply = await session.run((found) => {
    contexts = found.contexts;
    if (contexts.size === 0)
      throw new StorageError("EOPNOTSUPP", `${session.address.uri} tells no block status`);
    return { type: NBD_COMMAND.BLOCK_STATUS, flags: 0, offset: range.offset, length };
  });
  if (reply.failure !== undefined) return statuses;
  for (const [name, id] of contexts) {
    const extents = reply.extents.get(id);
    if (extents !== undefined)
      statuses.set(name, runsOf(extents, { offset: range.offset, length }));
  }
  return statuses;
}

function runsOf(extents: readonly StatusExtent[], range: ByteRange): StatusRuns {
  const runs: (ByteRange & { readonly flags: number })[] = [];
  let at = range.offset;
  for (const { length, flags } of extents) {
    const part = Math.min(length, endOf(range) - at);
    if (part <= 0) break;
    runs.push({ offset: at, length: part, flags });
    at += part;
  }
  return runs;
}

/** The runs of a status that read as zeros for sure. */
export function zerosOf(statuses: BlockStatuses): {
  readonly known: ByteRange;
  readonly zeros: readonly ByteRange[];
} {
  const runs = statuses.get(ALLOCATION_CONTEXT) ?? [];
  const first = runs[0];
  const last = runs.at(-1);
  if (first === undefined || last === undefined)
    return { known: { offset: 0, length: 0 }, zeros: [] };
  return {
    known: { offset: first.offset, length: endOf(last) - first.offset },
    zeros: runs.filter(({ flags }) => (flags & NBD_ALLOCATION.ZERO) !== 0),
  };
}
