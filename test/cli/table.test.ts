/** table, totals, style, json: what text and documents look like. */
import { describe, expect, test } from "vitest";
import { jsonPieces } from "../../src/cli/json.ts";
import { createStyle, printable, wantsColor } from "../../src/cli/style.ts";
import { formatTable, shorten, textWidth } from "../../src/cli/table.ts";
import { formatTotals } from "../../src/cli/totals.ts";

const plain = createStyle(false);

describe("formatTable()", () => {
  const columns = [
    { title: "PATH", flexible: true },
    { title: "BYTES", align: "right" as const },
  ];

  test("aligns columns and needs nothing for no rows", () => {
    expect(
      formatTable(columns, [
        ["/a", "1"],
        ["/bc", "200"],
      ]),
    ).toBe("PATH  BYTES\n/a        1\n/bc     200\n");
    expect(formatTable(columns, [])).toBe("");
  });

  test("cuts a flexible column in its middle to fit", () => {
    const text = formatTable(columns, [[`/home/${"x".repeat(200)}/end.txt`, "123456"]], {
      columns: 40,
    });
    for (const line of text.trimEnd().split("\n")) expect(textWidth(line)).toBeLessThanOrEqual(40);
    expect(text).toMatch(/\/home\/.*….*end\.txt {2}123456/);
  });

  test("colours cells without moving columns", () => {
    const style = createStyle(true);
    const text = formatTable(columns, [["/a", "1"]], {
      cellStyle: (cell) => style.red(cell),
      titleStyle: (title) => style.bold(title),
    });
    expect(text.split("\n").map(textWidth)).toEqual([11, 11, 0]);
  });

  test("shorten() keeps both ends", () => {
    expect(shorten("abcdefghij", 7)).toBe("ab…ghij");
    expect(shorten("abc", 3)).toBe("abc");
    expect(shorten("abc", 1)).toBe("…");
  });
});

describe("formatTotals()", () => {
  const totals = { total: 10, clean: 4, unread: 3, poisoned: 2, lost: 1 };

  test("R7: prints the four, their sum, and what moved", () => {
    expect(formatTotals(totals, plain)).toBe(
      "total 10 = clean 4 + unread 3 + poisoned 2 + lost 1\n",
    );
    expect(formatTotals(totals, plain, { repaired: 5, refused: 0 })).toMatch(
      /\nrepaired 5 · refused 0\n$/,
    );
  });

  test("R7: stops where the four do not add up", () => {
    expect(() => formatTotals({ ...totals, lost: 2 }, plain)).toThrow("R7");
  });
});

describe("printable()", () => {
  test("makes what a terminal would obey visible, and leaves the rest", () => {
    expect(printable("a\u001B[2J\nb\u009Bc\u202Ed ä 漢")).toBe(
      "a\\x1b[2J\\x0ab\\x9bc\\u202ed ä 漢",
    );
  });
});

describe("wantsColor()", () => {
  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { TERM: "dumb" }, false],
    [false, { FORCE_COLOR: "1" }, true],
    [false, { FORCE_COLOR: "0" }, false],
    [true, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
  ])("terminal %s with %j: %s", (isTerminal, env, expected) => {
    expect(wantsColor(isTerminal, env)).toBe(expected);
  });
});

describe("jsonPieces()", () => {
  test("gives what JSON.parse reads, with iterables as arrays and bigints as text", () => {
    const items = function* (): Generator<object> {
      for (let at = 0; at < 10_000; at += 1) yield { at, text: 'ü\u0000"' };
    };
    const document = {
      schema: "theriac.test/1",
      none: undefined,
      empty: [],
      items: items(),
      big: 2n ** 60n,
      deep: { n: 1n },
      text: "a",
    };
    const pieces = [...jsonPieces(document)];
    expect(pieces.length).toBeGreaterThan(3);
    expect(JSON.parse(pieces.join(""))).toEqual({
      schema: "theriac.test/1",
      empty: [],
      items: Array.from({ length: 10_000 }, (_, at) => ({ at, text: 'ü\u0000"' })),
      big: "1152921504606846976",
      deep: { n: "1" },
      text: "a",
    });
  });
});
