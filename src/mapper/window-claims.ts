/** WindowClaims: two windows onto one file are two devices: that they share no byte is looked at here. */
import type { StackDevice } from "./stack-text.ts";
import { tableError } from "./table-text.ts";

/** A window of a stack file. */
type StackWindow = Extract<StackDevice, { kind: "window" }>;

/** The windows of a stack, as they are opened. */
export class WindowClaims {
  readonly #claims: (StackWindow & { readonly real: string })[] = [];

  /**
   * Notes a window.
   *
   * @param where real path of the file, and the stack file that names it
   * @throws {StorageError} EBADMSG where another window shows one of its sectors
   */
  add(window: StackWindow, where: { readonly real: string; readonly stack: string }): void {
    const { start, length, line, path } = window;
    const { real, stack } = where;
    const other = this.#claims.find(
      (one) => one.real === real && one.start < start + length && start < one.start + one.length,
    );
    if (other !== undefined)
      throw tableError(
        { path: stack, line },
        `sector ${Math.max(other.start, start)} of ${path} is used twice: want each byte at one address: line ${other.line} has a window there too`,
      );
    this.#claims.push({ ...window, real });
  }
}
