/**
 * device-suite: the contract of a device as tests, for every implementation and every stack of them.
 *
 *     deviceSuite({ describe, test }, "memory", () => subjectOf(createMemoryDevice({ size: 65_536 })));
 *
 * The suite knows no test framework: it is handed `describe` and `test`, and asserts with node:assert.
 */
import { createPrng, type MaybePromise } from "../base/index.ts";
import { Context, type DeviceSubject } from "./device-suite-context.ts";
import { LISTS, READS } from "./device-suite-reads.ts";
import { HEALS, WRITES } from "./device-suite-writes.ts";

/** The two calls of a test framework that are needed. */
export interface SuiteApi {
  describe(title: string, body: () => void): void;
  test(title: string, body: () => Promise<void>): void;
}

/** Registers the suite. `make` gives a fresh device for every test; random data depends on `seed` alone. */
export function deviceSuite(
  api: SuiteApi,
  name: string,
  options: { readonly make: () => MaybePromise<DeviceSubject>; readonly seed?: number },
): void {
  api.describe(`device contract: ${name}`, () => {
    for (const [title, body] of [...READS, ...WRITES, ...HEALS, ...LISTS]) {
      api.test(title, async () => {
        const subject = await options.make();
        try {
          await body(new Context(subject, createPrng(options.seed ?? 1)));
        } finally {
          await subject.dispose?.();
        }
      });
    }
  });
}
