/** Checks: what a lab looked at, and what was not as it should be; each of those is printed. */
export class Checks {
  #done = 0;
  #failed = 0;

  /** @param detail printed where it is not so */
  is(what: string, isSo: boolean, detail = ""): void {
    this.#done += 1;
    if (isSo) return;
    this.#failed += 1;
    console.log(`FAILED: ${what}${detail === "" ? "" : `: ${detail}`}`);
  }

  /** Prints the sum, and sets the exit code. */
  end(): void {
    console.log(`${this.#done} checks, ${this.#failed} failures`);
    process.exitCode = this.#failed === 0 ? 0 : 1;
  }
}
