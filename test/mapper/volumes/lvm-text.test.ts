/** lvm-text: the text of a volume group, and what is none told with its line. */
import { describe, expect, test } from "vitest";
import { ConfigError, parseLvmText } from "../../../src/mapper/volumes/lvm-text.ts";

describe("parseLvmText()", () => {
  test("reads sections, numbers, strings, arrays and comments", () => {
    const text =
      '# c\nvg { # of it\n\tid="a\\"b\\\\"\n n = -3\n f = 1.5\n l = ["x", 2,\n ]\n e=[] s { } }\n\0';
    const vg = parseLvmText(text).get("vg") as ReadonlyMap<string, unknown>;
    expect([...vg]).toEqual([
      ["id", 'a"b\\'],
      ["n", -3],
      ["f", 1.5],
      ["l", ["x", 2]],
      ["e", []],
      ["s", new Map()],
    ]);
    expect(parseLvmText("")).toEqual(new Map());
  });

  test.each([
    ["a", 'line 1: want "=" or "{" behind a name'],
    ["a {\nb = 1\n", 'line 3: want a name or "}"'],
    ['a = "x', "want a string with its end"],
    ['a = "x\\"', "want a string with its end"],
    ["a = [1 2]", 'want "," or "]" behind a value'],
    ["a = [1,", "want a number"],
    ["a = b", "want a number"],
    ["a = 1\na = 2", 'want the name "a" once'],
    ["}", "want a name, or the end"],
    ["a{".repeat(100_000), "want at most 8 sections"],
    [`a = "${"x".repeat(1_000_000)}`, "want a string with its end"],
    [" ".repeat(1_000_000) + "}", "want a name, or the end"],
    [`a${"b".repeat(1_000_000)}`, 'want "=" or "{"'],
  ])("%.20j is refused: %s", (text, message) => {
    expect(() => parseLvmText(text)).toThrow(ConfigError);
    expect(() => parseLvmText(text)).toThrow(message);
  });
});
