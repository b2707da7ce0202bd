/**
 * LogRecord: what the audit log of an image says, `theriac.log/1`, one JSON object a line, each with a checksum of its own line.
 *
 *     {"record":"run","schema":"theriac.log/1","run":1,"what":"repair",...,"crc":"1f2e3d4c"}
 *
 * `crc` is the CRC-32C of the line's bytes before `,"crc":`, in hexadecimal. A line that a crash tore, or that is no line of ours, is passed over
 * and counted: the log goes on behind it.
 */
import { crc32c } from "../../base/index.ts";
import type { Grade } from "../../donor/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import type { StepOutcome } from "./apply-batch.ts";
import type { StepOwner, Trust } from "../plan/plan-file.ts";

/** What a run does: heals by a plan, gives ranges up, or marks lost what an earlier run wrote. */
export type RunKind = "repair" | "acknowledge" | "undo";

/** A run begins. Durable before anything else of it happens. */
export interface RunRecord {
  readonly record: "run";
  readonly schema: "theriac.log/1";
  /** From 1 up, in this log. */
  readonly run: number;
  readonly what: RunKind;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly target: {
    readonly path: string;
    readonly size: number;
    readonly uuid: string | null;
    readonly generation: number;
  };
  readonly totals: PoisonTotals;
  /** Steps that it will try. */
  readonly steps: number;
  /** Of a repair. */
  readonly repair?:
    | {
        readonly donors: readonly string[];
        readonly trust: Trust;
        readonly free: boolean;
        readonly digest?: string | undefined;
        /** SHA-256 of the text of the plan, which stands beside the log. */
        readonly plan: string;
        /** Whether somebody else made the plan, so that nothing else may be done. */
        readonly given: boolean;
      }
    | undefined;
  /** Of an acknowledgement: why, as a person said it. */
  readonly why?: string | undefined;
  /** Of an undo: the run that is undone. */
  readonly undoes?: number | undefined;
}

/** An interrupted run goes on. */
export interface ResumedRecord {
  readonly record: "resumed";
  readonly run: number;
  readonly at: string;
  readonly generation: number;
  readonly totals: PoisonTotals;
}

/** A step is about to be done. Durable before the first byte of it moves. */
export interface StepRecord {
  readonly record: "step";
  readonly run: number;
  readonly step: number;
  /** Bytes of the target. */
  readonly offset: number;
  readonly length: number;
  /** "lost": an undo. */
  readonly action: "write" | "zero" | "lost";
  /** What the bytes were before. Of bad bytes nobody can tell a hash: they cannot be read. */
  readonly was: "poisoned" | "lost" | "clean";
  readonly owner: StepOwner;
  readonly donor?: string | undefined;
  readonly grade?: Grade | undefined;
  /** Of the bytes that will stand there; of an undo, of those that stood there. */
  readonly sha256: string;
  /** Of an undo: where in the file of kept bytes those of the step begin. */
  readonly kept?: number | undefined;
}

/** What became of a step. What it says is durable already. */
export interface DoneRecord {
  readonly record: "done";
  readonly run: number;
  readonly step: number;
  readonly outcome: StepOutcome | "undone";
  /** Bytes that hold their right data now; of an undo, bytes marked lost. */
  readonly healed: number;
  readonly reason?: string | undefined;
}

/** A run ended: "complete", or "stale": it was interrupted, and what it had planned no longer holds. */
export interface EndRecord {
  readonly record: "end";
  readonly run: number;
  readonly at: string;
  readonly result: "complete" | "stale";
  readonly totals: PoisonTotals;
}

/** One line. */
export type LogRecord = RunRecord | ResumedRecord | StepRecord | DoneRecord | EndRecord;

/** Bytes of a line at most: a path of 64 KiB, escaped, and the rest. */
export const MOST_LINE: number = 512 * 1024;

const CRC = /^(\{.*),"crc":"([0-9a-f]{8})"\}$/s;

/** A record as its line, with its newline. */
export function encodeRecord(record: LogRecord): string {
  const body = JSON.stringify(record).slice(0, -1);
  return `${body},"crc":"${checkOf(body)}"}\n`;
}

/** The object of a line; `undefined` where its checksum is wrong or it is none. Its shape is not checked. */
export function decodeLine(line: string): unknown {
  const [, body, check] = CRC.exec(line) ?? [];
  if (body === undefined || checkOf(body) !== check) return undefined;
  try {
    return JSON.parse(`${body}}`);
  } catch {
    return undefined;
  }
}

function checkOf(text: string): string {
  const sum = (crc32c(Buffer.from(text), 0xffff_ffff) ^ 0xffff_ffff) >>> 0;
  return sum.toString(16).padStart(8, "0");
}
