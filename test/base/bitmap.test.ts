/** Bitmap: compared with an array of booleans. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Bitmap } from "../../src/base/index.ts";
import { randomSeed } from "./seed.ts";

const COUNT = 200;
const run = fc
  .tuple(fc.nat(COUNT - 1), fc.nat(COUNT - 1))
  .map(([one, other]) => [Math.min(one, other), Math.max(one, other) + 1] as const);

test("hasAny() and hasAll() answer as an array of booleans does after any set() and clear()", () => {
  const steps = fc.array(fc.record({ run, on: fc.boolean(), ask: run }), { maxLength: 40 });
  fc.assert(
    fc.property(steps, (all) => {
      const bitmap = new Bitmap(COUNT);
      const model = Array.from({ length: COUNT }, () => false);
      for (const {
        run: [from, to],
        on,
        ask,
      } of all) {
        if (on) bitmap.set(from, to);
        else bitmap.clear(from, to);
        model.fill(on, from, to);
        const asked = new Set(model.slice(...ask));
        expect(bitmap.hasAny(...ask)).toBe(asked.has(true));
        expect(bitmap.hasAll(...ask)).toBe(!asked.has(false));
      }
    }),
    { seed: randomSeed() },
  );
});
