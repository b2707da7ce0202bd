/**
 * file-suite: the contract of an open file as tests, for every implementation and face.
 *
 *     fileSuite({ describe, test }, "memory", { make: async () => subjectOf(await openFile(device)) });
 *
 * The suite knows no test framework: it is handed `describe` and `test`, and asserts with node:assert.
 */
import { createPrng, type MaybePromise } from "../base/index.ts";
import type { SuiteApi } from "./device-suite.ts";
import { CALLS } from "./file-suite-calls.ts";
import { FileContext, type FileSubject } from "./file-suite-context.ts";
import { BAD_READS, BAD_WRITES } from "./file-suite-recovery.ts";

/** Registers the suite. `make` gives a fresh file for every test; random data depends on `seed` alone. */
export function fileSuite(
  api: SuiteApi,
  name: string,
  options: { readonly make: () => MaybePromise<FileSubject>; readonly seed?: number },
): void {
  api.describe(`file contract: ${name}`, () => {
    for (const [title, body] of [...CALLS, ...BAD_READS, ...BAD_WRITES]) {
      api.test(title, async () => {
        const subject = await options.make();
        try {
          await body(new FileContext(subject, createPrng(options.seed ?? 1)));
        } finally {
          await subject.dispose?.();
        }
      });
    }
  });
}
