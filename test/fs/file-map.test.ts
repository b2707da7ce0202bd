/** docs/owners.md has a heading for each thing that a range can hold, and no other. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { OWNER_WHATS } from "../../src/fs/index.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/owners.md"), "utf8");

test("docs/owners.md has a heading for each `what` of OWNER_WHATS, in its order", () => {
  const headings = [...text.matchAll(/^### `([a-z-]+)`$/gm)].map((match) => match[1]);
  expect(headings).toEqual([...OWNER_WHATS]);
});

test("docs/owners.md says something under each heading", () => {
  const silent = [...text.matchAll(/^### `([a-z-]+)`\n(.*)$/gm)].filter(
    (match) => (match[2] ?? "").length < 40,
  );
  expect(silent.map((match) => match[1])).toEqual([]);
});
