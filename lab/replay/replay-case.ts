/** replayCase(): one recorded case run through a stack of Theriac's: every answer that differs from the kernel's. */
import { StorageError } from "../../src/base/index.ts";
import type { Opened, Stack } from "./stacks.ts";
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

/** Runs a case on a fresh file. @returns what differs */
export async function replayCase(stack: Stack, trace: TraceCase): Promise<Mismatch[]> {
  const opened = await stack.open(trace.size);
  const content = new Uint8Array(trace.size);
  for (let at = 0; at < content.length; at += 1) content[at] = 7 * at + trace.case;
  opened.fill(content);
  for (const [sector, count] of trace.poison) opened.poison(sector, count);
  const mismatches: Mismatch[] = [];
  for (const [index, operation] of trace.ops.entries()) {
    const got = await run(opened, operation);
    if (got !== expected(operation)) mismatches.push({ case: trace.case, index, operation, got });
  }
  return mismatches;
}

function expected({ ret, errno, fnv, bb }: TraceOperation): string {
  const outcome = ret < 0 ? `errno ${errno === EFAULT ? EIO : errno}` : `${ret}`;
  return [outcome, ret < 0 ? "" : (fnv ?? ""), bb === undefined ? "" : JSON.stringify(bb)].join(
    " ",
  );
}

async function run(opened: Opened, operation: TraceOperation): Promise<string> {
  const { op, off, len, fill = 0 } = operation;
  const buffer = new Uint8Array(len).fill(op === "w" ? fill : 0);
  const { direct } = opened.file;
  const calls = direct ?? opened.file;
  let outcome: string;
  let hash = "";
  try {
    const count = op === "r" ? await calls.preadv2(buffer, off) : await calls.pwritev2(buffer, off);
    outcome = String(count);
    if (op === "r") hash = fnv64(buffer.subarray(0, count));
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    outcome = `errno ${-error.errno}`;
  }
  const list = op === "w" ? JSON.stringify(opened.badblocks()) : "";
  return [outcome, hash, list].join(" ");
}
