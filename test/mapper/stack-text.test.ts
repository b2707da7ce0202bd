/** stack-text: a stack file as text, both ways, and what is none told with its line. */
import { describe, expect, test } from "vitest";
import { formatStack, parseStack, stackSectors } from "../../src/mapper/index.ts";

const TEXT = `device pmem0 images/with space.img
segment rom rom.img
window share 2048 4096 /host/cache.bin
data: 0 4096 striped 2 16 pmem0 0 share 0
all: 0 4096 linear data 0
all: 4096 1024 linear rom 0
spare: 0 8 zero
top all
`;

describe("parseStack()", () => {
  test("prints back to the byte what is canonical, and knows its size", () => {
    const stack = parseStack(TEXT, "a.stack");
    expect(formatStack(stack)).toBe(TEXT);
    expect(stackSectors(stack)).toBe(5120);
    expect(parseStack("a: 0 8 zero\nb: 0 9 zero\n", "b.stack").top).toBe("b");
  });

  test.each([
    ["device a a.img", "line 1: want at least one table"],
    ["a: 0 8", "line 1: want START LENGTH TARGET ARGS"],
    ["\nhello", 'line 2: want "device NAME PATH"'],
    ["device a\na: 0 8 zero", 'line 1: want "device NAME PATH"'],
    ["device a a.img\na: 0 8 zero", 'line 2: want a name of its own: line 1 is called "a" too'],
    ["a: 0 8 zero\ndevice a a.img", "line 2: want a name of its own"],
    ["a: 0 8 zero\ntop b", 'line 2: want the name of a table or volume behind top: got "b"'],
    ["a: 0 8 zero\ntop a\ntop a", "line 3: want one top: line 2 names one too"],
    ["window w 0 x a.img\na: 0 8 zero", "want START and LENGTH of a window"],
    ["window w 0 0 a.img\na: 0 8 zero", "want START and LENGTH of a window"],
  ])("%j is EBADMSG: %s", (text, message) => {
    expect(() => parseStack(text, "s.stack")).toThrow("EBADMSG: Cannot load s.stack: ");
    expect(() => parseStack(text, "s.stack")).toThrow(message);
  });
});
