import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  assert,
  AssertionError,
  MediaError,
  StorageError,
  toStorageError,
} from "../../src/base/index.ts";

function coded(code: string, error: Error = new Error(`${code}: it broke, read`)): Error {
  return Object.assign(error, { code });
}

test("toStorageError() keeps Node's code, errno, path and call", () => {
  try {
    readFileSync("/no/such/file");
  } catch (error) {
    const made = toStorageError(error) as StorageError;
    expect(made).toBeInstanceOf(StorageError);
    expect([made.code, made.errno, made.syscall, made.path]).toEqual([
      "ENOENT",
      -2,
      "open",
      "/no/such/file",
    ]);
    expect(made.cause).toBe(error);
  }
  expect.assertions(3);
});

test("toStorageError() makes EIO of a code outside the table, and says which it was", () => {
  for (const code of ["EMFILE", "toString", "constructor"]) {
    const made = toStorageError(coded(code)) as StorageError;
    expect([made.code, made.message]).toEqual(["EIO", `EIO: ${code}: it broke, read`]);
  }
});

test("toStorageError() lets the caller's mistakes, our bugs and storage errors pass", () => {
  const media = new MediaError("Lost", { device: "memory", ranges: [] });
  for (const error of [
    coded("ERR_OUT_OF_RANGE", new RangeError("no")),
    new AssertionError("R1"),
    media,
  ]) {
    expect(toStorageError(error)).toBe(error);
  }
});

test("assert() throws the rule by name", () => {
  expect(() => assert(1 > 0, "R1: fine")).not.toThrow();
  expect(() => assert(1 < 0, "R1: broken")).toThrow(new AssertionError("R1: broken"));
});
