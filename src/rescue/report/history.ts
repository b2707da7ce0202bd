/**
 * History: what was done to a target, in a form of its own: so that a report can be made of a log, of the document of one repair, or of whatever another
 * program knows. Nothing here is believed about the present: what is bad now, the target's list says.
 */
import type { ByteRange } from "../../base/index.ts";

/** One range that something was done with, or could not be. Offsets are bytes of the target. */
export interface DoneStep extends ByteRange {
  /** "healed", "partly-healed", "refused", "unavailable", "failed", "donor-changed", "given-up", "undone" and others: told as it is. */
  readonly outcome: string;
  /** Bytes that held their right data afterwards. @default 0 */
  readonly healed?: number;
  readonly grade?: string | undefined;
  /** Where the bytes came from. */
  readonly donor?: string | undefined;
  /** The file that it belongs to. */
  readonly path?: string | undefined;
  /** Why, as a sentence. */
  readonly reason?: string | undefined;
}

/** One run of a command that did something. */
export interface DoneRun {
  /** "repair", "salvage", "acknowledge", "undo". */
  readonly what: string;
  /** When it began, ISO 8601; `undefined`: nobody noted it. */
  readonly at?: string | undefined;
  /** Whether it came to its end. @default true */
  readonly complete?: boolean;
  readonly donors?: readonly string[];
  /** Bytes by what became of them, by the names of the run's own document: "repaired", "refused", "salvaged". */
  readonly sums: Readonly<Record<string, number>>;
  readonly steps: readonly DoneStep[];
}

/** What of a `theriac.repair/1` or `theriac.salvage/1` is read. */
interface KnownDocument {
  readonly schema?: unknown;
  readonly sums?: unknown;
  readonly donors?: unknown;
  readonly steps?: unknown;
  readonly salvaged?: unknown;
  readonly bad?: unknown;
}

/**
 * A run from the document that a command printed with `--json`.
 *
 * @returns `undefined` where it is none of a repair or a salvage
 */
export function runOfDocument(value: unknown): DoneRun | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const document = value as KnownDocument;
  if (document.schema === "theriac.salvage/1") {
    const sums = { salvaged: bytesOf(document.salvaged), "not given": bytesOf(document.bad) };
    return { what: "salvage", sums, steps: [] };
  }
  if (document.schema !== "theriac.repair/1") return undefined;
  const donors = listOf(document.donors).map((donor) => textOf(donor["name"]) ?? "?");
  const steps = listOf(document.steps).flatMap((step) => stepOf(step, donors));
  const { bad: _bad, ...sums } = numbersOf(document.sums);
  return { what: "repair", donors, sums, steps };
}

type Fields = Readonly<Record<string, unknown>>;

function stepOf(step: Fields, donors: readonly string[]): DoneStep[] {
  const [offset, length] = [bytesOf(step["offset"]), bytesOf(step["length"])];
  if (length === 0) return [];
  const outcome = textOf(step["outcome"]) ?? "";
  const action = textOf(step["action"]) ?? "";
  const donor = fieldsOf(step["donor"])["index"];
  return [
    {
      offset,
      length,
      outcome: outcome === "skipped" || outcome === "" ? action : outcome,
      healed: bytesOf(step["healed"]),
      grade: textOf(step["grade"]),
      donor: typeof donor === "number" ? donors[donor] : undefined,
      path: textOf(fieldsOf(step["owner"])["path"]),
      reason: textOf(step["failure"]) ?? textOf(step["reason"]),
    },
  ];
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function bytesOf(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : 0;
}

function numbersOf(value: unknown): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fieldsOf(value)).map(([name, number]) => [name, bytesOf(number)]),
  );
}
