/** whyNodeWrong(): which nodes of an extent tree are refused, and why. */
import { expect, test } from "vitest";
import {
  LOGICAL_END,
  whyNodeWrong,
  type NodeBounds,
  type NodeWords,
} from "../../../src/fs/ext4/extent-tree.ts";

interface Entry {
  readonly logical: number;
  readonly length: number;
  readonly block: number;
}

function leaf(
  entries: readonly Entry[],
  head: { depth?: number; max?: number; magic?: number; count?: number } = {},
): NodeWords {
  const words = new Uint32Array(15);
  words[0] = (head.magic ?? 0xf30a) | ((head.count ?? entries.length) << 16);
  words[1] = (head.max ?? 4) | ((head.depth ?? 0) << 16);
  for (const [index, { logical, length, block }] of entries.entries())
    words.set([logical, length, block], 3 + index * 3);
  return { words, at: 0, capacity: 15 };
}

const bounds: NodeBounds = {
  depth: -1,
  start: 0,
  end: LOGICAL_END,
  mayOwn: (block, count) => block >= 100 && block + count <= 1000,
};
const GOOD: Entry = { logical: 0, length: 5, block: 200 };

test("whyNodeWrong() accepts ordered extents, unwritten ones and an empty root", () => {
  expect(
    whyNodeWrong(leaf([GOOD, { logical: 9, length: 32768 + 4, block: 300 }]), bounds),
  ).toBeUndefined();
  expect(whyNodeWrong(leaf([]), bounds)).toBeUndefined();
});

test.each([
  ["magic", leaf([GOOD], { magic: 0x1234 })],
  ["depth", leaf([GOOD], { depth: 6 })],
  ["room", leaf([GOOD], { max: 5 })],
  ["room", leaf([GOOD], { max: 0 })],
  ["entries", leaf([GOOD], { count: 5 })],
  ["no entries", leaf([], { depth: 1 })],
  ["empty extent", leaf([{ ...GOOD, length: 0 }])],
  ["out of order", leaf([GOOD, { logical: 4, length: 1, block: 300 }])],
  ["out of order", leaf([{ ...GOOD, logical: LOGICAL_END - 2 }])],
  ["no file may own", leaf([{ ...GOOD, block: 50 }])],
  ["no file may own", leaf([{ ...GOOD, block: 998 }])],
])("whyNodeWrong() names a wrong %s", (word, node) => {
  expect(whyNodeWrong(node, bounds)).toContain(word);
});

test("whyNodeWrong() holds a node to the depth and the part of the file that its parent gives it", () => {
  expect(whyNodeWrong(leaf([GOOD]), { ...bounds, depth: 1 })).toContain("depth");
  expect(whyNodeWrong(leaf([GOOD]), { ...bounds, depth: 0, start: 3 })).toContain("out of order");
  expect(whyNodeWrong(leaf([GOOD]), { ...bounds, depth: 0, end: 4 })).toContain("out of order");
});
