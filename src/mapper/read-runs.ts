/** readRuns: a read over several places: the leaves' answers joined, those that must be waited for side by side. */
import {
  endOf,
  isPromise,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import { COMPLETE, type AccessMode, type Device, type ReadResult } from "../device/index.ts";
import { sortedRanges } from "./joined.ts";

/** A range of something that can be read. */
export interface Run extends ByteRange {
  readonly device: Pick<Device, "read">;
}

/** One read of a table. */
interface Request {
  readonly into: Uint8Array;
  /** Address in the table. */
  readonly offset: number;
  readonly mode: AccessMode;
}

/** Reads runs that follow each other. */
export function readRuns(runs: readonly Run[], request: Request): MaybePromise<ReadResult> {
  return request.mode === "failFast" ? firstOnly(runs, request) : sideBySide(runs, request);
}

function sideBySide(runs: readonly Run[], request: Request): MaybePromise<ReadResult> {
  const { into, offset, mode } = request;
  const missing: BadRange[] = [];
  const waits: Promise<void>[] = [];
  let done = 0;
  try {
    for (const run of runs) {
      const shift = offset + done - run.offset;
      const part = into.subarray(done, done + run.length);
      const result = run.device.read(part, run.offset, mode);
      if (isPromise(result)) waits.push(result.then((whole) => note(missing, whole, shift)));
      else if (result.missing.length > 0) note(missing, result, shift);
      done += run.length;
    }
  } catch (error) {
    if (waits.length === 0) throw error;
    // what is on its way still writes into `into`: the caller has it back when nothing does
    return Promise.allSettled(waits).then(() => {
      throw error;
    });
  }
  if (waits.length === 0) return resultOf(missing);
  return settled(waits).then(() => resultOf(missing));
}

/** Waits for all, then fails with the first failure. */
async function settled(waits: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(waits);
  await Promise.all(waits);
}

/** Run by run up to the first bad byte; all behind it is unread. */
function firstOnly(runs: readonly Run[], request: Request, from = 0): MaybePromise<ReadResult> {
  const { into, offset, mode } = request;
  let done = runs.slice(0, from).reduce((sum, run) => sum + run.length, 0);
  for (const [index, run] of runs.entries()) {
    if (index < from) continue;
    const shift = offset + done - run.offset;
    done += run.length;
    const part = into.subarray(done - run.length, done);
    const end = offset + done;
    const result = run.device.read(part, run.offset, mode);
    if (isPromise(result))
      return result.then((whole) =>
        whole.missing.length === 0
          ? firstOnly(runs, request, index + 1)
          : stoppedAt(whole, shift, { offset: end, length: offset + into.length - end }),
      );
    if (result.missing.length > 0)
      return stoppedAt(result, shift, { offset: end, length: offset + into.length - end });
  }
  return COMPLETE;
}

function stoppedAt(
  result: ReadResult,
  shift: number,
  rest: { readonly offset: number; readonly length: number },
): ReadResult {
  const missing: BadRange[] = [];
  note(missing, result, shift);
  if (rest.length > 0) missing.push({ ...rest, state: "unread" });
  return resultOf(missing);
}

function note(missing: BadRange[], result: ReadResult, shift: number): void {
  for (const range of result.missing) missing.push({ ...range, offset: range.offset + shift });
}

function resultOf(missing: readonly BadRange[]): ReadResult {
  if (missing.length === 0) return COMPLETE;
  const sorted = sortedRanges(missing);
  const last = sorted.at(-1);
  return last === undefined || endOf(last) === 0 ? COMPLETE : { missing: sorted };
}
