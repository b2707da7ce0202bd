/**
 * Undo: what a run wrote is marked lost again, and only where it still stands.
 *
 * - every range of the run is read and compared with the hash that the log holds before anything changes; where one holds something else, nothing
 *   at all is undone (R2): somebody has written there since
 * - the bytes go to `IMAGE.theriac.kept`, durably, before the list calls them lost
 * - the list is durable before the marker that says "lost" stands over the bytes, so a crash at any point leaves what the run wrote, or lost (R3, R4).
 *   A range that shares its clear unit with clean bytes keeps its bytes below the list, because a clear would take the neighbours
 */
import { alignIn, MediaError, StorageError, type ByteRange } from "../../base/index.ts";
import { isRemoteDevice } from "../../device/index.ts";
import { readOrMissing } from "../../donor/index.ts";
import { sha256 } from "../plan/planner.ts";
import type { Target } from "../target.ts";
import { Journal } from "./journal.ts";
import type { StepRecord } from "./log-record.ts";
import { readRun, type LoggedRun } from "./read-log.ts";
import type { RepairLog } from "./repair-log.ts";

/** What is undone. */
export interface UndoWhat {
  /** @default the last run; of an undo that was interrupted, the run that it undoes */
  readonly run?: number | undefined;
  /** One step of the run. @default all */
  readonly step?: number | undefined;
}

/** One step that was undone, or was not there any more. */
export interface UndoneStep extends ByteRange {
  readonly step: number;
  /** "already": all of it is bad or lost already. */
  readonly outcome: "lost" | "already";
  readonly path?: string | undefined;
}

/** What an undo did. */
export interface Undone {
  /** The run that was undone. */
  readonly run: number;
  /** Bytes that were marked lost. */
  readonly bytes: number;
  readonly steps: readonly UndoneStep[];
}

/** Bytes that are kept and marked at once. */
const MOST_BYTES = 4 * 1024 * 1024;

/**
 * Undoes a run of a log, or one step of it.
 *
 * @throws {StorageError} ENOENT where the log has no such run or step; ESTALE where a range holds something else now, or the log is another
 *   image's: nothing was changed; ECANCELED of a run that was an undo itself; EOPNOTSUPP where a server keeps the list
 */
export async function undo(target: Target, log: RepairLog, what: UndoWhat = {}): Promise<Undone> {
  checkList(target);
  const logged = await wantedRun(target, log, what);
  const { run } = logged.begun;
  const open: StepRecord[] = [];
  const steps: UndoneStep[] = [];
  for (const step of wantedSteps(logged, what)) {
    const isThere = (await stands(target, step, logged)) !== undefined;
    if (isThere) open.push(step);
    const { offset, length } = step;
    const { path } = step.owner;
    const told = { step: step.step, offset, length, ...(path === undefined ? {} : { path }) };
    steps.push({ ...told, outcome: isThere ? "lost" : "already" });
  }
  if (open.length > 0) {
    const journal = await Journal.begin(log, target, {
      what: "undo",
      undoes: run,
      steps: open.length,
    });
    for (const batch of batchesOf(open)) await undoBatch({ target, log, journal, logged }, batch);
    journal.end("complete");
  }
  return { run, bytes: open.reduce((sum, { length }) => sum + length, 0), steps };
}

/** Refuses a list that is a server's: nothing of the protocol marks a range lost there, and what is called lost must stay so. */
function checkList({ device, path }: Target): void {
  if (!isRemoteDevice(device) || !device.isTold) return;
  throw new StorageError(
    "EOPNOTSUPP",
    `Cannot undo on "${path}": its server keeps the list: undo where the image is`,
    { path, syscall: "undo" },
  );
}

async function wantedRun(target: Target, log: RepairLog, what: UndoWhat): Promise<LoggedRun> {
  const last = await readRun(log.files, log.path, what.run ?? "last");
  const goesOn = what.run === undefined && last?.end === undefined && last?.begun.undoes;
  const logged = typeof goesOn === "number" ? await readRun(log.files, log.path, goesOn) : last;
  const fail = (code: "ENOENT" | "ESTALE" | "ECANCELED", why: string): never => {
    throw new StorageError(code, `Cannot undo: ${why}`, { path: log.path, syscall: "undo" });
  };
  if (logged === undefined)
    return fail(
      "ENOENT",
      `log "${log.path}" has no run${what.run === undefined ? "" : ` ${what.run}`}`,
    );
  if (logged.begun.what === "undo")
    fail("ECANCELED", `run ${logged.begun.run} is an undo itself: repair again, from a donor`);
  if (what.step !== undefined && !logged.steps.has(what.step))
    fail("ENOENT", `run ${logged.begun.run} of log "${log.path}" has no step ${what.step}`);
  const { size, identity } = target.device;
  const { uuid } = logged.begun.target;
  if (size !== logged.begun.target.size || (uuid !== null && uuid !== identity.uuid))
    fail("ESTALE", `log "${log.path}" belongs to another image`);
  return logged;
}

function wantedSteps(logged: LoggedRun, what: UndoWhat): readonly StepRecord[] {
  const steps = [...logged.steps.values()].filter(
    ({ step }) => what.step === undefined || step === what.step,
  );
  return steps.sort((one, other) => one.offset - other.offset);
}

/**
 * The bytes of a step, where they are those that the run wrote; `undefined` where all of them are bad.
 *
 * @throws {StorageError} ESTALE where other bytes are there, or where a part is bad: the hash is one of the whole
 */
async function stands(
  target: Target,
  step: StepRecord,
  logged: LoggedRun,
): Promise<Uint8Array | undefined> {
  const { offset, length } = step;
  const stale = (why: string): StorageError =>
    new StorageError(
      "ESTALE",
      `Refused to undo step ${logged.begun.run}.${step.step} of "${target.path}": ${why}`,
      { path: target.path, syscall: "undo" },
    );
  if (offset + length > target.device.size) throw stale("it lies past the end");
  const bytes = new Uint8Array(length);
  const { missing } = await readOrMissing(target.device, bytes, offset);
  const bad = missing.reduce((sum, { length: part }) => sum + part, 0);
  if (bad === length) return undefined;
  if (bad > 0)
    throw stale(
      `${bad} of its ${length} bytes are bad, and whether the rest is what the run wrote cannot be told: repair them first`,
    );
  if (sha256(bytes) === step.sha256) return bytes;
  throw stale(`bytes ${offset} to ${offset + length} are not those that the run wrote`);
}

interface UndoWork {
  readonly target: Target;
  readonly log: RepairLog;
  readonly journal: Journal;
  readonly logged: LoggedRun;
}

async function undoBatch(work: UndoWork, steps: readonly StepRecord[]): Promise<void> {
  const { target, log, journal, logged } = work;
  const bytes: Uint8Array[] = [];
  for (const step of steps) bytes.push((await stands(target, step, logged)) ?? new Uint8Array());
  const places = log.keepBytes(bytes);
  journal.beforeUndo(
    steps.map(({ record, run, step, offset, length, owner, sha256: hash }, index) => ({
      record,
      run,
      step,
      offset,
      length,
      action: "lost",
      was: "clean",
      owner,
      sha256: hash,
      kept: places[index] ?? 0,
    })),
  );
  for (const { offset, length } of steps) target.device.recordBad({ offset, length }, "lost");
  await target.device.flush();
  for (const step of steps) await leaveMarker(target, step);
  journal.afterUndo(steps);
}

/** Puts the marker over the whole clear units of a range, where the device takes it: the list calls them lost in any case. */
async function leaveMarker(target: Target, range: ByteRange): Promise<void> {
  const whole = alignIn(range, target.device.capabilities.clearUnit);
  if (whole.length === 0 || target.device.capabilities.clear === "none") return;
  try {
    await target.device.clear(whole);
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
  }
}

function* batchesOf(steps: readonly StepRecord[]): Generator<readonly StepRecord[]> {
  let batch: StepRecord[] = [];
  let bytes = 0;
  for (const step of steps) {
    if (batch.length > 0 && (bytes + step.length > MOST_BYTES || batch.length === 256)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(step);
    bytes += step.length;
  }
  if (batch.length > 0) yield batch;
}
