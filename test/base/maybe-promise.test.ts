/** What maybe-promise promises. */
import { expect, test } from "vitest";
import { isPromise } from "../../src/base/index.ts";

test("isPromise() knows promises of other makers, and no data", () => {
  // oxlint-disable-next-line unicorn/no-thenable -- a promise of another library
  const other = { then: () => 1 } as unknown as Promise<number>;
  expect([isPromise(Promise.resolve(1)), isPromise(other)]).toEqual([true, true]);
  expect([1, null, undefined, {}, "then"].map((value) => isPromise(value))).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
});
