/**
 * control-messages: what is said over a control socket: one line of JSON for a request, then lines of progress or of states, and one with the answer.
 *
 * The socket is the owner's alone, and still everything that comes is checked: a program of another version may be at the other end.
 */
import { ERROR_CODES, StorageError, type ErrorCode } from "../../base/index.ts";
import type { ByteRange } from "../../base/index.ts";
import type { FaultPlan } from "../../device/index.ts";
import type { FaultKind, PoisonState, PoisonTotals, StateRange } from "../../poison/index.ts";
import type { ConnectionStatus } from "../connection.ts";

/** Longest line, in bytes: a million ranges. */
export const LINE_MAX: number = 64 * 1024 * 1024;

/** What a server is asked. */
export type ControlRequest =
  | { readonly op: "status" | "list" | "scrub" }
  | {
      readonly op: "inject";
      readonly ranges: readonly ByteRange[];
      readonly fault: FaultKind;
      readonly latent: boolean;
      readonly on: boolean;
    }
  /** A plan of faults as text, or what to draw one with. */
  | { readonly op: "plan"; readonly text: string }
  | { readonly op: "draw"; readonly seed: number; readonly count: number };

/** How a served image is. */
export interface ServedStatus {
  readonly pid: number;
  readonly size: number;
  readonly readOnly: boolean;
  readonly uris: readonly string[];
  readonly clients: readonly ConnectionStatus[];
  /** Clients so far. */
  readonly clientsSoFar: number;
  readonly totals: PoisonTotals;
}

/** What faults were put on. */
export interface InjectAnswer {
  readonly ranges: readonly ByteRange[];
  readonly totals: PoisonTotals;
  /** The plan that was followed, where one was. */
  readonly plan?: FaultPlan;
}

/** What a scrub found. */
export interface ScrubAnswer {
  readonly found: readonly ByteRange[];
  readonly foundBytes: number;
  readonly totals: PoisonTotals;
  /** Bytes of data that are missing. */
  readonly missing: number;
}

/** A line of a server: something on the way, or the end. */
export type ControlLine =
  | { readonly progress: { readonly done: number; readonly total: number } }
  | { readonly states: readonly (readonly [number, number, number])[] }
  | { readonly answer: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };

/** States by their numbers on the line. */
const STATES: readonly PoisonState[] = ["clean", "unread", "poisoned", "lost"];

/** A state range as three numbers. */
export function packState({ offset, length, state }: StateRange): [number, number, number] {
  return [offset, length, STATES.indexOf(state)];
}

/** The same back. @throws {StorageError} EBADMSG for a state that there is not */
export function unpackState([offset, length, number]: readonly [
  number,
  number,
  number,
]): StateRange {
  const state = STATES[number];
  if (state === undefined) throw badMessage(`a state ${number}`);
  return { offset, length, state };
}

function badMessage(what: string): StorageError {
  return new StorageError("EBADMSG", `Cannot understand the control socket: got ${what}`);
}

/** Reads a request. @throws {StorageError} EBADMSG */
export async function parseRequest(line: string): Promise<ControlRequest> {
  const { REQUEST } = await import("./control-schema.ts");
  const parsed = REQUEST.safeParse(jsonOf(line));
  if (!parsed.success) throw badMessage(line.slice(0, 80));
  return parsed.data;
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

/** Reads a line of a server. @throws {StorageError} EBADMSG */
export function parseLine(line: string): ControlLine {
  const value = jsonOf(line);
  const isKnown =
    typeof value === "object" &&
    value !== null &&
    ["progress", "states", "answer", "error"].some((key) => key in value);
  if (!isKnown) throw badMessage(line.slice(0, 80));
  return value as ControlLine;
}

/** A failure as it is told. */
export function errorLine(error: unknown): ControlLine {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof StorageError)
    return { error: { code: error.code, message: message.replace(/^[A-Z]+: /, "") } };
  const isCallers = error instanceof TypeError || error instanceof RangeError;
  return { error: { code: isCallers ? "USAGE" : "EIO", message } };
}

/** The same back, as an error of the kind that it was. */
export function errorOf({
  code,
  message,
}: {
  readonly code: string;
  readonly message: string;
}): Error {
  if (!Object.hasOwn(ERROR_CODES, code)) return new RangeError(message);
  return new StorageError(code as ErrorCode, message, { syscall: "control" });
}
