/** Told: what the guest left of each command: its document, its exit code, what the kernel said beside it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Checks } from "./checks.ts";

/** What `survey --json` says, of what is looked at. */
export interface Survey {
  readonly missing: number;
  readonly totals: { readonly total: number; readonly poisoned: number; readonly lost: number };
  readonly damage: readonly {
    readonly offset: number;
    readonly length: number;
    readonly owners: readonly {
      readonly kind: string;
      readonly paths?: readonly string[];
      readonly ranges: readonly { readonly offset: number; readonly length: number }[];
    }[];
  }[];
}

/** What `repair --json` says, of what is looked at. */
export interface Repair {
  readonly missing: number;
  readonly moved: readonly string[];
  readonly sums: Readonly<Record<string, number>>;
  readonly steps: readonly { readonly outcome: string; readonly failure?: string }[];
}

/** What the guest left. */
export class Told {
  readonly shared: string;
  protected readonly checks: Checks;

  constructor(shared: string, checks: Checks) {
    this.shared = shared;
    this.checks = checks;
  }

  text(name: string): string {
    return readFileSync(join(this.shared, name), "utf8").trim();
  }

  /** Checks an exit code. @returns the document; `undefined` where it is another code */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  document<T>(name: string, code: number): T | undefined {
    const [status, said] = [this.text(`${name}.status`), this.text(`${name}.err`)];
    const document = this.text(`${name}.json`);
    this.checks.is(
      `${name}: ends with ${code}`,
      status === String(code),
      `${status}: ${said} ${document.slice(0, 1500)}`,
    );
    return status === String(code) ? (JSON.parse(document) as T) : undefined;
  }

  /** Checks the exit code of a program that is not ours. */
  ended(name: string, code: number): void {
    const status = this.text(`${name}.status`);
    this.checks.is(
      `${name}: ends with ${code}`,
      (status === "0") === (code === 0),
      `${status}: ${this.text(name).slice(0, 300)}`,
    );
  }
}

/** Ranges of the book's content that a survey names. */
export function namedIn(survey: Survey, path: string): string {
  const ranges = survey.damage.flatMap(({ owners }) =>
    owners
      .filter(({ kind, paths }) => kind === "file" && paths?.includes(path) === true)
      .flatMap(({ ranges: found }) => found),
  );
  return JSON.stringify(
    ranges
      .sort((one, other) => one.offset - other.offset)
      .map(({ offset, length }) => [offset, length]),
  );
}
