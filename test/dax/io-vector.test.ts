/** IoVector: many buffers as one run of bytes, beside one buffer that is their join. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IoVector } from "../../src/dax/index.ts";
import { randomSeed } from "../base/seed.ts";

const vectors = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 12 });
const steps = fc.array(
  fc.record({
    op: fc.constantFrom("fill" as const, "skip" as const, "zero" as const, "gather" as const),
    count: fc.integer({ min: 0, max: 20 }),
  }),
  { maxLength: 20 },
);

/** Buffers of some lengths, filled with numbers that go up. */
function buffersOf(lengths: readonly number[]): Uint8Array[] {
  let next = 1;
  return lengths.map((length) => Uint8Array.from({ length }, () => next++));
}

describe("IoVector", () => {
  test("peek(), skip(), zero() and gather() treat buffers as their join", () => {
    fc.assert(
      fc.property(vectors, steps, (lengths, run) => {
        const buffers = buffersOf(lengths);
        const model = Uint8Array.from(Buffer.concat(buffers));
        const vector = new IoVector().begin(buffers, Infinity);
        expect(vector.length).toBe(model.length);
        let at = 0;
        for (const step of run) {
          const count = Math.min(step.count, model.length - at);
          if (step.op === "gather") {
            expect([...vector.gather(count)]).toEqual([...model.subarray(at, at + count)]);
            continue;
          }
          if (step.op === "skip") vector.skip(count);
          else if (step.op === "zero") vector.zero(count);
          else
            for (let left = count; left > 0;) {
              const piece = vector.peek(left);
              expect(piece.length).toBeGreaterThan(0);
              expect(piece.length).toBeLessThanOrEqual(left);
              piece.fill(200);
              vector.advance(piece.length);
              left -= piece.length;
            }
          if (step.op !== "skip") model.fill(step.op === "zero" ? 0 : 200, at, at + count);
          at += count;
        }
        expect(Buffer.compare(Buffer.concat(buffers), model)).toBe(0);
      }),
      { seed: randomSeed() },
    );
  });

  test("begin() takes the next call, whatever the last one left", () => {
    const vector = new IoVector().begin(buffersOf([3, 3]), Infinity);
    vector.skip(4);
    vector.begin(Uint8Array.of(9, 8), Infinity);
    expect([vector.length, ...vector.peek(5)]).toEqual([2, 9, 8]);
    vector.begin([], Infinity);
    expect([vector.length, vector.peek(5).length]).toEqual([0, 0]);
  });

  test("begin() leaves out what is behind the limit", () => {
    expect(new IoVector().begin(buffersOf([3, 0, 3]), 4).length).toBe(4);
    expect(new IoVector().begin(new Uint8Array(9), 4).length).toBe(4);
  });

  test("gather() copies nothing where the bytes lie together", () => {
    const [, second = new Uint8Array()] = buffersOf([2, 5]);
    const vector = new IoVector().begin([new Uint8Array(2), second], Infinity);
    vector.skip(3);
    expect(vector.gather(4).buffer).toBe(second.buffer);
  });
});
