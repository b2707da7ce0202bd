/** ReadLog: the records of an audit log, one by one, in bounded memory, past whatever a crash or a stranger left between them. */
import type { HostFile, HostFiles } from "../../os/index.ts";
import {
  decodeLine,
  MOST_LINE,
  type DoneRecord,
  type EndRecord,
  type LogRecord,
  type ResumedRecord,
  type RunRecord,
  type StepRecord,
} from "./log-record.ts";

/** What is counted while a log is read. */
export interface LogDamage {
  /** Lines that are no records of ours: torn by a crash, or damaged since. */
  lines: number;
}

/** Bytes read at once. */
const CHUNK = 256 * 1024;
const NEWLINE = 0x0a;

/**
 * Reads a log; no record where there is none.
 *
 * @param damage counts what was passed over
 * @throws {StorageError} EACCES and others of the file
 */
export async function* readLog(
  files: HostFiles,
  path: string,
  damage: LogDamage = { lines: 0 },
): AsyncGenerator<LogRecord> {
  if (files.info(path) === undefined) return;
  const { recordSchema } = await import("./log-schema.ts");
  const file = files.open(path);
  try {
    for (const line of linesOf(file)) {
      if (line === "") continue;
      const parsed = line === undefined ? undefined : recordSchema.safeParse(decodeLine(line));
      if (parsed?.success === true) yield parsed.data;
      else damage.lines += 1;
    }
  } finally {
    file.close();
  }
}

/** The lines of a file; `undefined` for each that is longer than any of ours. */
function* linesOf(file: HostFile): Generator<string | undefined> {
  let rest: Buffer = Buffer.alloc(0);
  let tooLong = false;
  for (let offset = 0; ;) {
    const chunk = Buffer.alloc(CHUNK);
    const count = file.readSync(chunk, offset);
    if (count === 0) break;
    offset += count;
    const bytes = Buffer.concat([rest, chunk.subarray(0, count)]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      yield tooLong ? undefined : bytes.toString("utf8", start, end);
      tooLong = false;
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length <= MOST_LINE) continue;
    tooLong = true;
    rest = Buffer.alloc(0);
  }
  if (tooLong || rest.length > 0) yield tooLong ? undefined : rest.toString("utf8");
}

/** All that a log says of one run. */
export interface LoggedRun {
  readonly begun: RunRecord;
  readonly resumed: readonly ResumedRecord[];
  /** By the number of the step. */
  readonly steps: ReadonlyMap<number, StepRecord>;
  readonly done: ReadonlyMap<number, DoneRecord>;
  readonly end: EndRecord | undefined;
}

/** One run of a log: by its number, or the last one; `undefined` where there is none. */
export async function readRun(
  files: HostFiles,
  path: string,
  wanted: number | "last",
): Promise<LoggedRun | undefined> {
  const number = wanted === "last" ? await lastRun(files, path) : wanted;
  let run:
    | (LoggedRun & {
        resumed: ResumedRecord[];
        steps: Map<number, StepRecord>;
        done: Map<number, DoneRecord>;
        end: EndRecord | undefined;
      })
    | undefined;
  for await (const record of readLog(files, path)) {
    if (record.run !== number) continue;
    if (record.record === "run")
      run = { begun: record, resumed: [], steps: new Map(), done: new Map(), end: undefined };
    else if (run === undefined) continue;
    else if (record.record === "resumed") run.resumed.push(record);
    else if (record.record === "step") run.steps.set(record.step, record);
    else if (record.record === "done") run.done.set(record.step, record);
    else run.end = record;
  }
  return run;
}

/** The number of the last run of a log; 0 where there is none. Numbers whose beginning was torn away count too. */
export async function lastRun(files: HostFiles, path: string): Promise<number> {
  let last = 0;
  for await (const { run } of readLog(files, path)) last = Math.max(last, run);
  return last;
}
