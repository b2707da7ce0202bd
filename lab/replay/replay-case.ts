/** replayCase(): one recorded case run through a stack of Theriac's: every answer that differs from the kernel's. */
import { StorageError } from "../../src/base/index.ts";
import { documentedBy, type ListAfter, type Reason } from "./documented.ts";
import type { Opened, Stack } from "./stack.ts";
import { fnv64, type TraceCase, type TraceOperation } from "./trace.ts";

/** An answer that differs. */
export interface Mismatch {
  readonly case: number;
  /** Index of the call. */
  readonly index: number;
  readonly operation: TraceOperation;
  /** What Theriac answered, in the trace's own form. */
  readonly got: string;
}

/** EFAULT for bad media is read as EIO (design, section 5). */
const EFAULT = 14;
const EIO = 5;

/** What a replay of a case found. */
export interface Replayed {
  /** Calls compared. */
  readonly compared: number;
  readonly mismatches: readonly Mismatch[];
  /** The invariant for which the rest of the case was left. */
  readonly left: Reason | undefined;
}

/** Runs a case on a fresh file. */
export async function replayCase(stack: Stack, trace: TraceCase): Promise<Replayed> {
  const opened = await stack.open({
    size: trace.size,
    clearLimit: limitOf(trace),
    seam: trace.seam,
    extents: trace.extents,
  });
  const content = new Uint8Array(trace.size);
  for (let at = 0; at < content.length; at += 1) content[at] = 7 * at + trace.case;
  opened.setContent(content);
  for (const [sector, count] of trace.poison) opened.poison(sector, count);
  const mismatches: Mismatch[] = [];
  for (const [index, operation] of trace.ops.entries()) {
    const answer = await run(opened, operation);
    const got = textOf(answer);
    if (got === expected(operation)) continue;
    const left = documentedBy(trace, operation, answer);
    if (left !== undefined) return { compared: index, mismatches, left };
    mismatches.push({ case: trace.case, index, operation, got });
  }
  return { compared: trace.ops.length, mismatches, left: undefined };
}

/** The firmware of a case: -1 refuses, which is no clear at all. */
function limitOf({ clear }: TraceCase): number {
  return clear === undefined ? Infinity : Math.max(0, clear);
}

function expected({ ret, errno, fnv, bb }: TraceOperation): string {
  const outcome = ret < 0 ? `errno ${errno === EFAULT ? EIO : errno}` : `${ret}`;
  return [outcome, ret < 0 ? "" : (fnv ?? ""), bb === undefined ? "" : JSON.stringify(bb)].join(
    " ",
  );
}

interface Outcome {
  readonly outcome: string;
  readonly hash: string;
  readonly count: number;
  readonly list: ListAfter | undefined;
}

function textOf({ outcome, hash, list }: Outcome): string {
  return [outcome, hash, list === undefined ? "" : JSON.stringify(list.badblocks)].join(" ");
}

async function run(opened: Opened, operation: TraceOperation): Promise<Outcome> {
  const { op, off, len, fill = 0 } = operation;
  const buffer = new Uint8Array(len).fill(op === "w" ? fill : 0);
  const calls = opened.file.direct ?? opened.file;
  const list = (): ListAfter | undefined => (op === "w" ? opened.listAfter() : undefined);
  try {
    const count = op === "r" ? await calls.preadv2(buffer, off) : await calls.pwritev2(buffer, off);
    const hash = op === "r" ? fnv64(buffer.subarray(0, count)) : "";
    return { outcome: String(count), hash, count, list: list() };
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { outcome: `errno ${-error.errno}`, hash: "", count: -1, list: list() };
  }
}
