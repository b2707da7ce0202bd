/** WantedBlocks: hits() against a plain search. */
import { array, assert, integer, nat, oneof, property, record } from "fast-check";
import { expect, test } from "vitest";
import { WantedBlocks } from "../../src/fs/wanted-blocks.ts";

const run = record({
  block: oneof(nat(300), nat(2 ** 40)),
  count: integer({ min: 1, max: 20 }),
});

test("hits() says whether any block of a run is wanted, as a plain search does", () => {
  assert(
    property(
      array(run, { maxLength: 30 }),
      array(run, { minLength: 1, maxLength: 30 }),
      (runs, asked) => {
        const wanted = new WantedBlocks(runs);
        for (const { block, count } of asked) {
          const plain = runs.some(
            (other) => other.block < block + count && block < other.block + other.count,
          );
          expect(wanted.hits(block, count)).toBe(plain);
        }
      },
    ),
  );
});

test("the runs are ascending and apart, whatever order they came in", () => {
  const wanted = new WantedBlocks([
    { block: 9, count: 2 },
    { block: 1, count: 3 },
    { block: 4, count: 1 },
    { block: 2, count: 1 },
  ]);
  expect([...wanted]).toEqual([
    { block: 1, count: 4 },
    { block: 9, count: 2 },
  ]);
});

test("without() leaves exactly the blocks that no other run holds", () => {
  assert(
    property(array(run, { maxLength: 20 }), array(run, { maxLength: 20 }), (runs, others) => {
      const blocksOf = (list: Iterable<{ block: number; count: number }>): Set<number> =>
        new Set(
          [...list].flatMap(({ block, count }) =>
            Array.from({ length: count }, (_, at) => block + at),
          ),
        );
      const taken = blocksOf(others);
      const left = [...blocksOf(runs)].filter((block) => !taken.has(block));
      expect(blocksOf(new WantedBlocks(runs).without(others))).toEqual(new Set(left));
    }),
  );
});
