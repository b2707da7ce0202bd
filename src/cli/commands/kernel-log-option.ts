/** KernelLogOption: what `--log` says, placed on a target: ranges to survey, and what could not be placed. */
import { createReadStream } from "node:fs";
import { toStorageError, type ByteRange } from "../../base/index.ts";
import { placeEvents, readKernelLog, type Target } from "../../rescue/index.ts";

/** A log on a target. */
export interface PlacedLog {
  /** In bytes of the target. */
  readonly ranges: readonly ByteRange[];
  /** Sentences for people. */
  readonly notes: readonly string[];
  /** For `--json`. */
  readonly document: Readonly<Record<string, unknown>>;
}

/** Reasons that are told one by one. */
const MOST_TOLD = 20;

/**
 * Reads a log and places its events.
 *
 * @param name file, or "-" for stdin
 * @param options device: which device of the log the target is
 * @throws {StorageError} if it cannot be read
 */
export async function placeLog(
  name: string,
  target: Target,
  options: { readonly device?: string } = {},
): Promise<PlacedLog> {
  const stream: NodeJS.ReadableStream = name === "-" ? process.stdin : createReadStream(name);
  const log = await readKernelLog(stream as AsyncIterable<string | Uint8Array>).catch(
    (error: unknown) => {
      throw toStorageError(error, { path: name, syscall: "read" });
    },
  );
  const { ranges, placed, unplaced } = placeEvents(target, log.events, options);
  const notes = [
    `log: ${log.events.length} events, ${placed.length} of them on the target`,
    ...log.notes,
  ];
  const reasons = new Map<string, { count: number; text: string }>();
  for (const { event, why } of unplaced) {
    const before = reasons.get(why);
    reasons.set(why, { count: (before?.count ?? 0) + 1, text: before?.text ?? event.text });
  }
  for (const [why, { count, text }] of [...reasons].slice(0, MOST_TOLD))
    notes.push(`not placed (${count}): ${why}: ${text}`);
  const told = unplaced
    .slice(0, 1000)
    .map(({ event, why }) => ({ why, line: event.line, text: event.text }));
  return {
    ranges,
    notes,
    document: {
      events: log.events.length,
      placed: placed.length,
      ranges,
      unplaced: told,
      incomplete: log.incomplete,
      notes: log.notes,
    },
  };
}
