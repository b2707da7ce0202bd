/**
 * recovery-write: data over poison, in place, as one step.
 *
 * What can go wrong. A clear ends poison in whole clear units and leaves nothing in them: between clear and write the range
 * is empty, its clean neighbours with it, and the medium reports no error any more. A crash there would present garbage as
 * data. A clear may be refused, stop half-way, or answer well and do nothing. A write may find the disk full; a flush may fail.
 *
 * What is done, for a batch of jobs (runs of clear units, heal-job.ts):
 *
 *     read what is clean in the runs           it is kept: also where the caller gave data, so a failure takes nothing from anybody
 *     begin the intent            (durable)    from here on the bad bytes count as lost, whatever the medium says
 *     clear each run                           refused or half: the job failed
 *     write data, kept neighbours, marker
 *     flush                       (durable)
 *     read back past caches, compare           not the same: the clear only pretended; the job failed
 *     put kept bytes of failed jobs back, flush
 *     end the intent              (durable)    healed bytes are clean, cleared ones without data are lost, all others what they were
 *
 * Every line holds at a crash behind it: before "begin" nothing has changed; after it, until "end", opening puts the kept bytes
 * back and the rest is lost (unsettled.ts); after "end" the data is durable. So the range holds the new data or is bad (R3),
 * neighbours are what they were (R2, R3), a range leaves the list only behind durable data (R4), and what could not be
 * cleared stays listed (R5). Bad neighbours in a run become lost where all access goes through us; elsewhere the write
 * fails before anything changes, because another program would read what the clear leaves there.
 *
 * A disk ("overwrite") takes whole physical blocks: a write of a part reads the rest first, and fails where that is bad. So on a
 * disk a run is also where bad bytes lie beside a write in its block, and the block is composed and written whole.
 */
import { endOf, MediaError, RangeSet, type ByteRange } from "../base/index.ts";
import type { Intent, StateRange } from "../poison/index.ts";
import { confirmFaults, type CarefulContext } from "./careful-read.ts";
import type { HealWrite } from "./device.ts";
import {
  compose,
  HealWrites,
  uncovered,
  type HealGeometry,
  type HealJob,
  type Piece,
} from "./heal-job.ts";
import type { StateChanges } from "./ledger.ts";
import { goodParts, inState, isBad } from "./states.ts";
import { restore, type Unsettled } from "./unsettled.ts";

/** What a recovery write works on. */
export interface HealContext extends CarefulContext {
  readonly unsettled: Unsettled;
}

/** Jobs and bytes of one batch at most: one intent, and memory for what it keeps. */
const MAX_JOBS = 4096;
const MAX_BYTES = 16 * 1024 * 1024;
/** Passes over the writes: a second one for what the first found bad. */
const PASSES = 2;
/** Bytes read back, or marked, at once. */
const CHUNK = 1024 * 1024;

/** A job with all that its execution needs. */
interface Prepared extends HealJob {
  readonly data: readonly Piece[];
  readonly keep: readonly Piece[];
  /** What was bad in the run, with its states. */
  readonly bad: readonly StateRange[];
  /** Bad bytes that nobody gave data for. */
  readonly bystanders: readonly ByteRange[];
  /** Bytes that the medium cleared, from the start of the run. */
  cleared: number;
  touched: boolean;
  failure: string | undefined;
}

/**
 * Heals writes, batch by batch, then stores what of them lies outside all runs, flushes, and reads that back too: what turns out
 * to be bad there is listed and healed in a second pass.
 *
 * @param options wholeWrites: whether all of a write is cleared and not only its bad units, as Linux' driver does. @default false
 * @returns for each write `undefined`, or why it failed; what failed is still bad (R5)
 * @throws {RangeError} if writes overlap
 */
export function healAll(
  context: HealContext,
  writes: readonly HealWrite[],
  options: { readonly wholeWrites?: boolean } = {},
): (Error | undefined)[] {
  const failures: (Error | undefined)[] = writes.map(() => undefined);
  let pending = new HealWrites(writes);
  for (let pass = 0; pass < PASSES && pending.sorted.length > 0; pass += 1) {
    const progress = { sorted: pending, failures, healed: new RangeSet() };
    healRuns(context, progress, options.wholeWrites ?? false);
    pending = pending.only(writeRest(context, progress));
  }
  for (const { offset, data, index } of pending.sorted) {
    failures[index] ??= healError(
      context,
      { offset, length: data.length },
      "the bytes read back are not the ones written",
    );
  }
  return failures;
}

/** What of a medium decides how writes are cut. */
export function geometryOf({ size, capabilities }: HealContext["media"]): HealGeometry {
  const { clear, clearUnit } = capabilities;
  return { clearUnit, size, wholeUnits: clear === "overwrite", wholeWrites: false };
}

function healRuns(context: HealContext, progress: Progress, wholeWrites: boolean): void {
  let batch: Prepared[] = [];
  let bytes = 0;
  const run = (): void => {
    runBatch(context, batch);
    for (const job of batch) noteResult(context, progress, job);
    batch = [];
    bytes = 0;
  };
  for (const job of progress.sorted.jobs(context.ledger.view, {
    ...geometryOf(context.media),
    wholeWrites,
  })) {
    const prepared = prepare(context, progress.sorted, job);
    batch.push(prepared);
    bytes += 1024 + prepared.keep.reduce((sum, piece) => sum + 2 * piece.data.length, 0);
    if (batch.length >= MAX_JOBS || bytes >= MAX_BYTES) run();
  }
  if (batch.length > 0) run();
}

interface Progress {
  readonly sorted: HealWrites;
  readonly failures: (Error | undefined)[];
  readonly healed: RangeSet;
}

function noteResult(
  context: HealContext,
  { sorted, failures, healed }: Progress,
  job: Prepared,
): void {
  for (const position of sorted.positions(job)) {
    const write = sorted.sorted[position];
    if (write === undefined || job.failure === undefined) continue;
    const range = { offset: write.offset, length: write.data.length };
    failures[write.index] ??= healError(context, range, job.failure);
  }
  if (job.failure !== undefined) return;
  for (const piece of job.data) {
    healed.add(piece.offset, piece.data.length);
    context.emit({ offset: piece.offset, length: piece.data.length, kind: "healed" });
  }
}

/** Why a range cannot be healed or cleared, with what of it is bad. */
export function healError(context: HealContext, range: ByteRange, why: string): MediaError {
  const ranges = [...context.ledger.view.bad(range)];
  const { name } = context.media;
  return new MediaError(
    `Cannot heal ${name} at offset ${ranges[0]?.offset ?? range.offset}: ${why}`,
    {
      device: name,
      ranges,
      syscall: "recovery write",
      path: name,
    },
  );
}

/**
 * Stores what of the good writes lies outside all runs: clean bytes, which need no intent.
 *
 * @returns positions of the writes that met bytes nobody knew to be bad; those are listed now
 */
function writeRest(context: HealContext, { sorted, failures, healed }: Progress): Set<number> {
  const again = new Set<number>();
  const rest: (Piece & { readonly position: number })[] = [];
  for (const [position, write] of sorted.sorted.entries()) {
    if (failures[write.index] !== undefined) continue;
    for (const gap of healed.gaps(write.offset, write.data.length)) {
      const start = gap.offset - write.offset;
      rest.push({
        offset: gap.offset,
        data: write.data.subarray(start, start + gap.length),
        position,
      });
    }
  }
  for (const piece of rest) {
    if (!storeRest(context, piece)) again.add(piece.position);
  }
  if (rest.length > 0) {
    context.media.flush();
    // A disk may have healed by the write what nobody knew to be bad: that is durable too when the heal returns.
    context.ledger.sync();
  }
  for (const piece of rest) {
    if (isStored(context.media, [piece])) continue;
    again.add(piece.position);
    listFaults(context, piece);
  }
  return again;
}

/** @returns whether the medium took it; where not, the bytes it names join the list */
function storeRest(context: HealContext, piece: Piece): boolean {
  try {
    context.media.write(piece.data, piece.offset);
    return true;
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    listRefused(context, error.ranges);
    return false;
  }
}

/** Puts on the list what a medium refused to store into, and tells of it. */
export function listRefused({ ledger, emit }: CarefulContext, ranges: readonly ByteRange[]): void {
  for (const range of ranges) {
    const parts = goodParts(ledger.view, range);
    ledger.mark(inState(parts, "poisoned"));
    for (const { offset, length } of parts) emit({ offset, length, kind: "poisoned" });
  }
}

function listFaults(context: HealContext, piece: Piece): void {
  readKept(context, { offset: piece.offset, length: piece.data.length });
}

/** Reads what a run holds that is clean, and decides what cannot be done before anything changes. */
function prepare(context: HealContext, sorted: HealWrites, job: HealJob): Prepared {
  const { media, ledger } = context;
  const keep: Piece[] = [];
  for (const part of goodParts(ledger.view, job.run)) keep.push(...readKept(context, part));
  const bad = Array.from(ledger.view.states(job.run)).filter((part) => isBad(part.state));
  const data = sorted.data(job.run, job.writes);
  const bystanders = uncovered(bad, data);
  let failure: string | undefined;
  if (media.capabilities.clear === "none") failure = "the device cannot clear";
  else if (bystanders.length > 0 && !media.capabilities.mediated) {
    failure = `its clear unit of ${media.capabilities.clearUnit} bytes holds other bad bytes, at offset ${bystanders[0]?.offset}`;
  }
  return { ...job, data, keep, bad, bystanders, cleared: 0, touched: false, failure };
}

/** The readable pieces of a range that the list does not name; what is found bad joins the list. */
function readKept(context: HealContext, range: ByteRange): Piece[] {
  const data = new Uint8Array(range.length);
  const faults = context.media.readSync(data, range.offset);
  const request = { into: data, offset: range.offset, mode: "recovery" as const };
  const missing = faults.length === 0 ? [] : confirmFaults(context, faults, request);
  return [...RangeSet.from(missing).gaps(range.offset, range.length)].map((gap) => ({
    offset: gap.offset,
    data: data.subarray(gap.offset - range.offset, endOf(gap) - range.offset),
  }));
}

function runBatch(context: HealContext, batch: readonly Prepared[]): void {
  const jobs = batch.filter((job) => job.failure === undefined);
  if (jobs.length === 0) return;
  const intent: Intent = {
    lost: jobs.flatMap((job) => job.bad.map(({ offset, length }) => ({ offset, length }))),
    keep: jobs.flatMap((job) => job.keep),
  };
  const id = context.ledger.beginIntent(intent);
  let done: StateChanges | undefined;
  try {
    execute(context, jobs);
    const gone = putBack(context, jobs);
    const changes = [...jobs.flatMap(changesOf), ...gone];
    done = changes;
    context.ledger.endIntent(id, changes);
  } catch (error) {
    // The world failed in between: the next change, or the next opening, settles it.
    context.unsettled.add({ id, intent, done });
    throw error;
  }
}

function execute({ media }: HealContext, jobs: readonly Prepared[]): void {
  const { clear, clearUnit } = media.capabilities;
  for (const job of jobs) {
    if (clear !== "overwrite") {
      job.cleared = media.clear(job.run);
      job.touched = job.cleared > 0;
      if (job.cleared < job.run.length) job.failure = clearFailure(job);
    }
    if (job.failure === undefined) store(media, job, compose(job.run, clearUnit, job));
  }
  media.flush();
  for (const job of jobs) {
    if (job.failure === undefined && !isStored(media, compose(job.run, clearUnit, job))) {
      job.failure = "the device answered well, but the bytes read back are not the ones written";
    }
  }
}

function clearFailure(job: Prepared): string {
  if (job.cleared <= 0) return "the device refuses to clear";
  return `the device cleared ${job.cleared} bytes of ${job.run.length}`;
}

function store(media: HealContext["media"], job: Prepared, pieces: Iterable<Piece>): void {
  job.touched = true;
  try {
    for (const piece of pieces) media.write(piece.data, piece.offset);
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    job.failure = error.message;
  }
}

function isStored(media: HealContext["media"], pieces: Iterable<Piece>): boolean {
  const buffer = new Uint8Array(CHUNK);
  for (const piece of pieces) {
    for (let at = 0; at < piece.data.length; at += CHUNK) {
      const wanted = piece.data.subarray(at, at + CHUNK);
      const found = buffer.subarray(0, wanted.length);
      if (
        media.readBack(found, piece.offset + at).length > 0 ||
        Buffer.compare(found, wanted) !== 0
      )
        return false;
    }
  }
  return true;
}

/** Puts the kept bytes of failed jobs back. @returns those that the medium no longer takes */
function putBack(context: HealContext, jobs: readonly Prepared[]): StateChanges {
  const failed = jobs.filter((job) => job.failure !== undefined && job.touched);
  if (failed.length === 0) return [];
  const gone = restore(context.media, {
    lost: failed.flatMap((job) => job.bad),
    keep: failed.flatMap((job) => job.keep),
  });
  return inState(gone, "lost");
}

/** The states that the end of a job leaves. */
function changesOf(job: Prepared): StateChanges {
  if (job.failure === undefined) {
    const healed = job.data.map(({ offset, data }) => ({
      offset,
      length: data.length,
      state: "clean" as const,
    }));
    return [...healed, ...inState(job.bystanders, "lost")];
  }
  const clearedEnd = job.run.offset + job.cleared;
  const isFullClear = job.cleared >= job.run.length;
  return job.bad.flatMap((part) => {
    const cut = isFullClear
      ? part.offset
      : Math.min(Math.max(part.offset, clearedEnd), endOf(part));
    return [
      { offset: part.offset, length: cut - part.offset, state: "lost" as const },
      { offset: cut, length: endOf(part) - cut, state: part.state },
    ].filter((change) => change.length > 0);
  });
}
