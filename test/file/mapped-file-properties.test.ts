/** Mapped files against plain arrays with poison: random extents, poison, loads, stores, copies, line stores, heals. */
import * as fc from "fast-check";
import { test } from "vitest";
import { randomSeed } from "../base/seed.ts";
import { layouts, Run, steps } from "./support/mapped-run.ts";

test("R1, R2, R4: load(), store(), copyMc() and storeLine() do what plain arrays with poison do", () => {
  const seed = randomSeed();
  fc.assert(
    fc.property(layouts, steps, (layout, run) => {
      const subject = new Run(layout);
      for (const step of run) subject.step(step);
    }),
    { seed, numRuns: 400 },
  );
});
