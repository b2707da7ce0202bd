/** What assert promises. */
import { expect, test } from "vitest";
import { assert, AssertionError } from "../../src/base/index.ts";

test("assert() throws the rule by name", () => {
  expect(() => assert(true, "R1: fine")).not.toThrow();
  expect(() => assert(false, "R1: broken")).toThrow(new AssertionError("R1: broken"));
});
