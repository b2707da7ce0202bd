/** The list: against a plain array, with ten million ranges, and the kernel's own badblocks cases. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatBadblocks,
  importStates,
  parseBadblocks,
  PoisonList,
  type PoisonChange,
  type PoisonState,
} from "../../src/poison/index.ts";

const SIZE = 200;
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const STATES: readonly PoisonState[] = ["clean", "unread", "poisoned", "lost"];

const range = fc.tuple(fc.nat(SIZE), fc.nat(SIZE)).map(([one, other]) => ({
  offset: Math.min(one, other),
  length: Math.abs(one - other),
}));
const change = fc.tuple(range, fc.constantFrom(...STATES));

function runsOf(
  bytes: readonly PoisonState[],
  offset: number,
): { offset: number; length: number; state: PoisonState }[] {
  const runs: { offset: number; length: number; state: PoisonState }[] = [];
  bytes.forEach((state, index) => {
    const last = runs.at(-1);
    if (last?.state === state) last.length += 1;
    else runs.push({ offset: offset + index, length: 1, state });
  });
  return runs;
}

describe("PoisonList", () => {
  test(`R7: agrees with an array of bytes (SEED=${seed})`, () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), range, (changes, asked) => {
        const list = new PoisonList(SIZE);
        const bytes = Array.from({ length: SIZE }, (): PoisonState => "unread");
        for (const [at, state] of changes) {
          list.mark(at, state);
          bytes.fill(state, at.offset, at.offset + at.length);
        }
        const expected = runsOf(
          bytes.slice(asked.offset, asked.offset + asked.length),
          asked.offset,
        );
        const isBad = ({ state }: { state: PoisonState }): boolean =>
          state === "poisoned" || state === "lost";
        expect([...list.states(asked)]).toEqual(expected);
        expect([...list.bad(asked)]).toEqual(expected.filter(isBad));
        expect(list.empty).toBe(!bytes.some((state) => isBad({ state })));
        const count = (state: PoisonState): number => bytes.filter((byte) => byte === state).length;
        expect(list.totals()).toEqual({
          total: SIZE,
          clean: count("clean"),
          unread: count("unread"),
          poisoned: count("poisoned"),
          lost: count("lost"),
        });
      }),
      { seed, numRuns: 500 },
    );
  });

  test(`R6: hasBad() says whether bad() gives anything (SEED=${seed})`, () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), range, (changes, asked) => {
        const list = new PoisonList(SIZE);
        for (const [part, state] of changes) list.mark(part, state);
        expect(list.hasBad(asked.offset, asked.length)).toBe([...list.bad(asked)].length > 0);
      }),
      { seed },
    );
  });

  test(`may change while it is walked: every byte comes once (SEED=${seed})`, () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 20 }),
        fc.array(change, { maxLength: 20 }),
        (before, during) => {
          const list = new PoisonList(SIZE);
          for (const [at, state] of before) list.mark(at, state);
          let end = 0;
          const waiting = [...during];
          for (const part of list.states({ offset: 0, length: SIZE })) {
            expect(part.offset).toBe(end);
            expect([...list.states(part)]).toEqual([part]);
            end += part.length;
            const next = waiting.pop();
            if (next !== undefined) list.mark(...next);
          }
          expect(end).toBe(SIZE);
        },
      ),
      { seed, numRuns: 300 },
    );
  });

  test("mark() tells listeners of changes, and of nothing else", () => {
    const list = new PoisonList(SIZE);
    const heard: PoisonChange[] = [];
    const stop = list.onChange((each) => heard.push(each));
    list.mark({ offset: 0, length: 10 }, "unread");
    list.mark({ offset: 0, length: 0 }, "lost");
    list.mark({ offset: 0, length: 10 }, "lost");
    list.mark({ offset: 2, length: 3 }, "lost");
    stop();
    list.mark({ offset: 0, length: 10 }, "clean");
    expect(heard).toEqual([{ offset: 0, length: 10, state: "lost" }]);
  });

  test("refuses ranges past the end and numbers that are none", () => {
    const list = new PoisonList(SIZE);
    expect(() => list.mark({ offset: SIZE, length: 1 }, "lost")).toThrow(RangeError);
    expect(() => list.mark({ offset: -1, length: 1 }, "lost")).toThrow(TypeError);
    expect(() => [...list.states({ offset: 0, length: SIZE + 1 })]).toThrow(RangeError);
  });

  test("holds two million ranges of three states and walks them in order", () => {
    const count = 2_000_000;
    const list = new PoisonList(count * 64);
    for (let index = 0; index < count; index += 2)
      list.mark({ offset: index * 64, length: 64 }, index % 4 === 0 ? "poisoned" : "lost");
    let bad = 0;
    let end = 0;
    for (const part of list.bad({ offset: 0, length: list.size })) {
      if (part.offset < end) throw new Error("not ascending");
      end = part.offset + part.length;
      bad += 1;
    }
    expect(bad).toBe(count / 2);
    expect(list.totals().unread).toBe(list.size / 2);
    list.mark({ offset: 0, length: list.size }, "clean");
    expect(list.empty).toBe(true);
  });
});

describe("the kernel's badblocks cases (block/badblocks.c), in sectors", () => {
  const sectors = (offset: number, length: number): { offset: number; length: number } => ({
    offset: offset * 512,
    length: length * 512,
  });
  const set = (list: PoisonList, offset: number, length: number): void =>
    list.mark(sectors(offset, length), "poisoned");
  const clear = (list: PoisonList, offset: number, length: number): void =>
    list.mark(sectors(offset, length), "clean");
  const show = (list: PoisonList): string =>
    [...formatBadblocks(list)].join("").trim().replaceAll("\n", ", ");

  test("sets merge, clears split", () => {
    const list = new PoisonList(1_000_000 * 512);
    set(list, 10, 5);
    set(list, 15, 5);
    expect(show(list)).toBe("10 10");
    set(list, 12, 2);
    set(list, 5, 5);
    expect(show(list)).toBe("5 15");
    set(list, 0, 30);
    expect(show(list)).toBe("0 30");
    expect([...list.bad(sectors(29, 5))]).toEqual([{ ...sectors(29, 1), state: "poisoned" }]);
    expect([...list.bad(sectors(30, 5))]).toEqual([]);
    clear(list, 10, 5);
    expect(show(list)).toBe("0 10, 15 15");
    clear(list, 0, 3);
    clear(list, 25, 10);
    expect(show(list)).toBe("3 7, 15 10");
  });

  test("a set of 1000 sectors is one range, where the kernel needs two records", () => {
    const list = new PoisonList(1_000_000 * 512);
    set(list, 0, 1000);
    expect(show(list)).toBe("0 1000");
    clear(list, 100, 600);
    expect(show(list)).toBe("0 100, 700 300");
  });

  test("S09: single sectors under a wider set become one", () => {
    const list = new PoisonList(1_000_000 * 512);
    for (const at of [32, 34, 36]) set(list, at, 1);
    set(list, 32, 12);
    expect(show(list)).toBe("32 12");
  });

  test("there is no limit of 512 records: 600 isolated sets are 600 lines, and come back", () => {
    const list = new PoisonList(1_000_000 * 512);
    for (let index = 0; index < 600; index += 1) set(list, index * 2, 1);
    const text = [...formatBadblocks(list)].join("");
    const again = new PoisonList(list.size);
    importStates(again, parseBadblocks(text, { size: list.size }).ranges);
    expect([...formatBadblocks(again)].join("")).toBe(text);
    expect(text.split("\n")).toHaveLength(601);
  });

  test("S10: 1 to 100 without 20 to 30 is {1,19} and {31,70}", () => {
    const list = new PoisonList(1_000_000 * 512);
    set(list, 1, 100);
    clear(list, 20, 11);
    expect(show(list)).toBe("1 19, 31 70");
  });
});

describe("importStates()", () => {
  test(`R4: reaches only bytes that are unread (SEED=${seed})`, () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 20 }),
        fc.array(change, { maxLength: 20 }),
        (own, given) => {
          const list = new PoisonList(SIZE);
          for (const [at, state] of own) list.mark(at, state);
          const other = new PoisonList(SIZE);
          for (const [at, state] of given) other.mark(at, state);
          const all = { offset: 0, length: SIZE };
          const bytesOf = (one: PoisonList): PoisonState[] =>
            [...one.states(all)].flatMap((part) =>
              Array.from({ length: part.length }, () => part.state),
            );
          const [ours, theirs] = [bytesOf(list), bytesOf(other)];
          importStates(list, [...other.states(all)]);
          expect(bytesOf(list)).toEqual(
            ours.map((state, at) => (state === "unread" ? theirs[at] : state)),
          );
        },
      ),
      { seed, numRuns: 300 },
    );
  });
});
