/** What range-set promises. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createPrng, RangeSet, type ByteRange } from "../../src/base/index.ts";
import { applyTo, expectLook, expectSame, RangeModel, type Step } from "./range-model.ts";
import { randomSeed } from "./seed.ts";

const END = 2 ** 53;
const WINDOW = 400;

function range(offset: number, end: number): ByteRange {
  return { offset, length: end - offset };
}

function sorted(...ranges: readonly (readonly [number, number])[]): [Float64Array, Float64Array] {
  return [
    Float64Array.from(ranges, ([start]) => start),
    Float64Array.from(ranges, ([, end]) => end),
  ];
}

describe("RangeSet: what a change does", () => {
  test.each<[string, (set: RangeSet) => void, ByteRange[]]>([
    [
      "add() keeps ranges apart",
      (set) => set.add(50, 5),
      [range(10, 20), range(30, 40), range(50, 55)],
    ],
    ["add() merges what touches in front", (set) => set.add(5, 5), [range(5, 20), range(30, 40)]],
    ["add() merges what touches behind", (set) => set.add(20, 5), [range(10, 25), range(30, 40)]],
    ["add() closes a gap", (set) => set.add(20, 10), [range(10, 40)]],
    ["add() swallows ranges", (set) => set.add(0, 100), [range(0, 100)]],
    [
      "add() of bytes that are there changes nothing",
      (set) => set.add(12, 3),
      [range(10, 20), range(30, 40)],
    ],
    ["add() ignores an empty range", (set) => set.add(25, 0), [range(10, 20), range(30, 40)]],
    [
      "delete() cuts a range in two",
      (set) => set.delete(12, 3),
      [range(10, 12), range(15, 20), range(30, 40)],
    ],
    [
      "delete() cuts the ends of two ranges",
      (set) => set.delete(15, 20),
      [range(10, 15), range(35, 40)],
    ],
    ["delete() takes whole ranges", (set) => set.delete(10, 10), [range(30, 40)]],
    [
      "delete() leaves what only touches",
      (set) => set.delete(20, 10),
      [range(10, 20), range(30, 40)],
    ],
    ["delete() ignores an empty range", (set) => set.delete(12, 0), [range(10, 20), range(30, 40)]],
    ["clear() forgets everything", (set) => set.clear(), []],
  ])("%s", (_title, change, want) => {
    const set = RangeSet.from([range(30, 40), range(10, 20)]);
    change(set);
    expect([...set]).toEqual(want);
    expect(set.size).toBe(want.length);
    expect(set.byteLength).toBe(want.reduce((sum, one) => sum + one.length, 0));
  });

  test("clone() shares nothing", () => {
    const set = RangeSet.from([range(10, 20)]);
    const copy = set.clone();
    copy.add(30, 5);
    set.delete(10, 5);
    expect([...set]).toEqual([range(15, 20)]);
    expect([...copy]).toEqual([range(10, 20), range(30, 35)]);
  });
});

describe("RangeSet: what a caller may give", () => {
  const set = RangeSet.from([range(10, 20)]);
  const calls: [string, (offset: number, length: number) => unknown][] = [
    ["add", (offset, length) => set.add(offset, length)],
    ["delete", (offset, length) => set.delete(offset, length)],
    ["intersects", (offset, length) => set.intersects(offset, length)],
    ["covers", (offset, length) => set.covers(offset, length)],
    ["first", (offset, length) => set.first(offset, length)],
    ["within", (offset, length) => [...set.within(offset, length)]],
    ["gaps", (offset, length) => [...set.gaps(offset, length)]],
  ];

  test.each(calls)(
    "%s() refuses what is no whole number from 0, and what ends past 2^53",
    (_name, call) => {
      for (const [offset, length] of [
        [Number.NaN, 1],
        [1, Number.NaN],
        [-1, 5],
        [5, -1],
        [0.5, 1],
        [0, Infinity],
      ] as const) {
        expect(() => call(offset, length)).toThrow(TypeError);
      }
      // The sum of the first rounds to 2^53: a check of the sum alone would let it through.
      for (const [offset, length] of [
        [END - 1, 2],
        [END, 1],
        [1, END],
        [0, END + 2],
      ] as const) {
        expect(() => call(offset, length)).toThrow(RangeError);
      }
      expect([...set]).toEqual([range(10, 20)]);
    },
  );

  test("cursor() refuses an offset that is none", () => {
    expect(() => set.cursor(-1)).toThrow(TypeError);
    expect(() => set.cursor(END + 2)).toThrow(RangeError);
  });

  test("every call reaches the last byte below 2^53", () => {
    const high = new RangeSet();
    high.add(END - 1, 1);
    high.add(0, 1);
    expect(high.intersects(0, END)).toBe(true);
    expect(high.intersects(END, 0)).toBe(false);
    expect(high.covers(END - 1, 1)).toBe(true);
    expect([...high.gaps(0, END)]).toEqual([range(1, END - 1)]);
    high.add(0, END);
    expect(high.byteLength).toBe(END);
    high.delete(END - 1, 1);
    expect([...high]).toEqual([range(0, END - 1)]);
  });

  test("a chunk size out of range is refused", () => {
    for (const rangesPerChunk of [3, 65_537, 4.5, Number.NaN]) {
      expect(() => new RangeSet({ rangesPerChunk })).toThrow(RangeError);
    }
  });
});

describe("RangeSet.fromSorted", () => {
  test("fromSorted() makes a set of sorted arrays, and merges what touches", () => {
    const set = RangeSet.fromSorted(...sorted([0, 5], [5, 7], [7, 9], [20, END]));
    expect([...set]).toEqual([range(0, 9), range(20, END)]);
    expect(set.byteLength).toBe(END - 20 + 9);
  });

  test("fromSorted() makes an empty set of empty arrays", () => {
    expect(RangeSet.fromSorted(...sorted()).size).toBe(0);
  });

  test.each<[string, [Float64Array, Float64Array], RegExp]>([
    ["an overlap", sorted([0, 5], [4, 9]), /range 1 /],
    ["a wrong order", sorted([50, 60], [60, 70], [1, 2]), /range 2 /],
    ["an empty range", sorted([0, 5], [6, 6]), /range 1 /],
    ["an empty range that touches", sorted([0, 5], [5, 5]), /range 1 /],
    ["a backward range", sorted([9, 5]), /range 0 /],
    ["a negative start", sorted([-1, 5]), /range 0 /],
    ["a part of a byte", sorted([0, 1], [2.5, 4]), /range 1 /],
    ["NaN", sorted([0, Number.NaN]), /range 0 /],
    ["an end past 2^53", sorted([0, 1], [8, END + 2]), /range 1 /],
    ["arrays of two lengths", [new Float64Array(2), new Float64Array(3)], /2 starts, but 3 ends/],
  ])("fromSorted() refuses %s and names the place", (_what, [starts, ends], message) => {
    expect(() => RangeSet.fromSorted(starts, ends)).toThrow(RangeError);
    expect(() => RangeSet.fromSorted(starts, ends)).toThrow(message);
  });
});

describe("RangeSet: a walk while the set changes", () => {
  test("within() goes on where what it gave is deleted", () => {
    const set = new RangeSet({ rangesPerChunk: 4 });
    for (let at = 0; at < 100; at += 1) set.add(at * 10, 5);
    const seen: number[] = [];
    for (const part of set.within(0, 1000)) {
      seen.push(part.offset);
      set.delete(part.offset, part.length);
    }
    expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => at * 10));
    expect(set.size).toBe(0);
  });

  test("within() gives no byte twice, and what came ahead of it", () => {
    const set = RangeSet.from([range(0, 10), range(20, 30)]);
    const walk = set.within(0, 100);
    expect(walk.next().value).toEqual(range(0, 10));
    set.add(5, 10);
    set.add(50, 10);
    expect([...walk]).toEqual([range(10, 15), range(20, 30), range(50, 60)]);
  });

  test("an iterator ends where the set is cleared", () => {
    const set = RangeSet.from([range(0, 10), range(20, 30)]);
    const walk = set[Symbol.iterator]();
    walk.next();
    set.clear();
    expect(walk.next().done).toBe(true);
  });

  test("next() of a cursor stays false at the end, until there is more", () => {
    const set = RangeSet.from([range(0, 10)]);
    const cursor = set.cursor(4);
    expect(cursor.next()).toBe(true);
    expect([cursor.start, cursor.end]).toEqual([4, 10]);
    expect([cursor.next(), cursor.next()]).toEqual([false, false]);
    set.add(8, 10);
    expect(cursor.next()).toBe(true);
    expect([cursor.start, cursor.end]).toEqual([10, 18]);
  });
});

const stepOf: fc.Arbitrary<Step> = fc
  .record({
    kind: fc.oneof(
      { weight: 200, arbitrary: fc.constant("add" as const) },
      { weight: 140, arbitrary: fc.constant("delete" as const) },
      { weight: 160, arbitrary: fc.constant("look" as const) },
      { weight: 1, arbitrary: fc.constant("clear" as const) },
    ),
    offset: fc.nat(WINDOW),
    length: fc.oneof(fc.nat(4), fc.nat(4), fc.nat(4), fc.nat(WINDOW)),
  })
  .map(({ kind, offset, length }) => ({
    kind,
    offset,
    length: Math.min(length, WINDOW - offset),
  }));

describe("RangeSet against a bitmap", () => {
  test.each([
    ["at 0", 0, 4],
    ["at 0, chunks of 5", 0, 5],
    ["at 2^40", 2 ** 40 + 3, 7],
    ["at the end of offsets", END - WINDOW, 4],
    ["at the end of offsets, chunks of 512", END - WINDOW, 512],
  ])("every answer is the model's after any steps: %s", (_name, base, rangesPerChunk) => {
    fc.assert(
      fc.property(fc.array(stepOf, { minLength: 1, maxLength: 400, size: "max" }), (steps) => {
        const set = new RangeSet({ rangesPerChunk });
        const model = new RangeModel(base, WINDOW);
        for (const step of steps) {
          model.apply(step);
          applyTo(set, base, step);
          if (step.kind === "look") expectLook(set, model, step);
        }
        expectSame(set, model);
        expect([...set.clone()]).toEqual([...set]);
      }),
      { seed: randomSeed(), numRuns: 60 },
    );
  });

  test("every answer is the model's over long runs that fill and empty many chunks", () => {
    const random = createPrng(randomSeed());
    for (const rangesPerChunk of [4, 6, 16]) {
      const set = new RangeSet({ rangesPerChunk });
      const model = new RangeModel(END - 4096, 4096);
      for (let at = 0; at < 6000; at += 1) {
        const filling = Math.floor(at / 1500) % 2 === 0;
        const large = random.chance(0.004);
        const offset = random.below(4095);
        const length = 1 + random.below(Math.min(large ? 3000 : 3, 4095 - offset) || 1);
        const kind = random.chance(0.2)
          ? "look"
          : random.chance(filling ? 0.8 : 0.2)
            ? "add"
            : "delete";
        const step = { kind, offset, length } as const;
        model.apply(step);
        applyTo(set, model.base, step);
        if (kind === "look" && random.chance(0.2)) expectLook(set, model, step);
        if (at % 500 === 0) expectSame(set, model);
      }
      expectSame(set, model);
      expect([...set.clone()]).toEqual([...set]);
    }
  });

  test("every answer is the model's where ranges lie in clusters, and guesses at their places fail", () => {
    const random = createPrng(randomSeed());
    for (const rangesPerChunk of [64, 100, 512]) {
      const set = new RangeSet({ rangesPerChunk });
      const model = new RangeModel(2 ** 40, 2 ** 18);
      // Clusters of about a hundred ranges, 6000 bytes apart; they ascend at first.
      for (let at = 0; at < 43 * 100; at += 1) {
        const offset = 6000 * Math.floor(at / 100) + 4 * (at % 100);
        model.apply({ kind: "add", offset, length: 1 });
        set.add(model.base + offset, 1);
      }
      for (let at = 0; at < 40_000; at += 1) {
        const looks = random.chance(0.4);
        const inCluster = 6000 * random.below(43) + random.below(400);
        const offset = random.chance(looks ? 0.7 : 0) ? random.below(2 ** 18 - 4) : inCluster;
        const length = 1 + random.below(random.chance(0.1) ? 4 : 1);
        const kind = looks ? "look" : random.chance(0.5) ? "add" : "delete";
        const step = { kind, offset, length } as const;
        model.apply(step);
        applyTo(set, model.base, step);
        if (looks && random.chance(0.2)) expectLook(set, model, step);
        else if (looks) {
          const here = model.runs(1, offset, length).length > 0;
          if (set.intersects(model.base + offset, length) !== here) expect.fail(`at ${offset}`);
        }
      }
      expectSame(set, model);
    }
  });

  test("add() between two halves of a split chunk goes behind the first half", () => {
    const set = new RangeSet({ rangesPerChunk: 64 });
    for (const cluster of [0, 1_000_000, 2_000_000]) {
      for (let at = 0; at < 64; at += 1) set.add(cluster + at * 4, 1);
    }
    set.add(3_000_000, 1);
    set.add(63 * 4 - 2, 1);
    set.delete(32 * 4, 16 * 4);
    // Look-ups close behind clusters of two chunks in turn, so that guesses are no longer trusted.
    for (let times = 0; times < 20; times += 1) {
      set.intersects(1_002_000, 1);
      set.intersects(2_002_000, 1);
    }
    set.add(40 * 4, 1);
    expect([...set.within(31 * 4, 18 * 4)].map(({ offset }) => offset / 4)).toEqual([31, 40, 48]);
    expect(set.size).toBe(3 * 64 + 2 - 16 + 1);
  });

  test("a walk over a set that changes gives, ascending, only bytes that are there", () => {
    const random = createPrng(randomSeed());
    for (let round = 0; round < 60; round += 1) {
      const set = new RangeSet({ rangesPerChunk: 4 });
      const model = new RangeModel(0, WINDOW);
      const change = (): void => {
        const offset = random.below(WINDOW);
        const length = random.below(Math.min(6, WINDOW - offset) + 1);
        const step = { kind: random.chance(0.6) ? "add" : "delete", offset, length } as const;
        model.apply(step);
        applyTo(set, 0, step);
      };
      for (let at = 0; at < 120; at += 1) change();
      let before = 0;
      for (const part of set) {
        expect(part.offset).toBeGreaterThanOrEqual(before);
        expect(model.runs(1, before)[0]).toEqual(part);
        before = part.offset + part.length;
        for (let times = random.below(4); times > 0; times -= 1) change();
      }
      expect(model.runs(1, before)).toEqual([]);
    }
  });
});

describe("RangeSet with a million ranges", () => {
  const COUNT = 1_000_000;
  const starts = Float64Array.from({ length: COUNT }, (_, at) => at * 4096);
  const ends = starts.map((start) => start + 512);

  test("a set of a million ranges stays right under random changes", () => {
    const random = createPrng(randomSeed());
    const set = RangeSet.fromSorted(starts, ends);
    const model = new Uint8Array(COUNT).fill(1);
    expect(set.size).toBe(COUNT);
    for (let times = 0; times < 200_000; times += 1) {
      const at = random.below(COUNT);
      const adding = random.chance(0.5);
      if (adding) set.add(at * 4096, 512);
      else set.delete(at * 4096, 512);
      model[at] = adding ? 1 : 0;
    }
    const left = model.reduce((sum, cell) => sum + cell, 0);
    expect(set.size).toBe(left);
    expect(set.byteLength).toBe(left * 512);
    let wrong = 0;
    for (let at = 0; at < COUNT; at += 1) {
      if (set.intersects(at * 4096 + 511, 2) !== (model[at] === 1)) wrong += 1;
      if (set.intersects(at * 4096 + 512, 3584)) wrong += 1;
    }
    expect(wrong).toBe(0);
  });

  test("delete() and add() over most of a million ranges leave the ends", () => {
    const set = RangeSet.fromSorted(starts, ends);
    set.delete(4096 + 256, (COUNT - 3) * 4096);
    expect([...set]).toEqual([
      range(0, 512),
      range(4096, 4352),
      range((COUNT - 2) * 4096 + 256, (COUNT - 2) * 4096 + 512),
      range((COUNT - 1) * 4096, (COUNT - 1) * 4096 + 512),
    ]);
    const other = RangeSet.fromSorted(starts, ends);
    other.add(512, (COUNT - 1) * 4096 - 512);
    expect([...other]).toEqual([range(0, (COUNT - 1) * 4096 + 512)]);
  });
});
