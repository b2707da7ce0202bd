/** table-text: dmsetup's text in, the same text out, and what is no table is told with its line. */
import { describe, expect, test } from "vitest";
import { formatTable, parseTable } from "../../src/mapper/index.ts";

describe("parseTable()", () => {
  test("prints back to the byte what is canonical", () => {
    const text = "0 2048 linear /dev/sda 0\n2048 4096 striped 2 16 8:16 0 8:32 2048\n6144 8 zero\n";
    expect(formatTable(parseTable(text, "t"))).toBe(text);
  });

  test("passes over comments, blank lines and outer space, as dmsetup does", () => {
    const text = "# a table\n\n  0  8\tlinear  a 0  # the first\n   # end\n8 8 error\n";
    expect(parseTable(text, "t")).toEqual([
      { line: 3, start: 0, length: 8, type: "linear", args: ["a", "0"] },
      { line: 5, start: 8, length: 8, type: "error", args: [] },
    ]);
  });

  test.each([
    ["0 8", "line 1: want START LENGTH TARGET ARGS"],
    ["0 8 zero\nx 8 zero", 'line 2: want start in sectors of 512 bytes: got "x"'],
    ["0 -8 zero", 'want length in sectors of 512 bytes: got "-8"'],
    ["0 0 zero", "zero-length target: want at least one sector"],
    ["99999999999999999 8 zero", "want start in sectors"],
    ["0 17592186044416 zero", "want length in sectors"],
  ])("%j is EBADMSG: %s", (text, message) => {
    expect(() => parseTable(text, "my.table")).toThrow(`EBADMSG: Cannot load my.table: `);
    expect(() => parseTable(text, "my.table")).toThrow(message);
  });
});
