/**
 * donor-suite: the contract of a donor as tests, for every place that good bytes may come from.
 *
 *     donorSuite({ describe, test }, "directory", { make: () => subjectOf(tree) });
 *
 * The suite knows no test framework: it is handed `describe` and `test`, and asserts with node:assert.
 */
import { createPrng, type MaybePromise } from "../base/index.ts";
import { DonorContext, type DonorSubject } from "./donor-suite-context.ts";
import { FAILURES } from "./donor-suite-failures.ts";
import { OFFERS } from "./donor-suite-offers.ts";
import type { SuiteApi } from "./device-suite.ts";

/** Registers the suite. `make` gives a fresh donor for every test; random data depends on `seed` alone. */
export function donorSuite(
  api: SuiteApi,
  name: string,
  options: { readonly make: () => MaybePromise<DonorSubject>; readonly seed?: number },
): void {
  api.describe(`donor contract: ${name}`, () => {
    for (const [title, body] of [...OFFERS, ...FAILURES]) {
      api.test(title, async () => {
        const subject = await options.make();
        const context = new DonorContext(subject, createPrng(options.seed ?? 1));
        try {
          await body(context);
        } finally {
          await context.close();
          await subject.donor.close();
          await subject.dispose?.();
        }
      });
    }
  });
}
