/** What errors promises. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { AssertionError, MediaError, StorageError, toStorageError } from "../../src/base/index.ts";

function coded(code: string, error: Error = new Error(`${code}: it broke, read`)): Error {
  return Object.assign(error, { code });
}

function failureOf(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

test("toStorageError() keeps Node's code, errno, path and call", () => {
  const error = failureOf(() => readFileSync("/no/such/file"));
  const made = toStorageError(error) as StorageError;
  expect(made).toBeInstanceOf(StorageError);
  expect([made.code, made.errno]).toEqual(["ENOENT", -2]);
  expect([made.syscall, made.path]).toEqual(["open", "/no/such/file"]);
  expect(made.cause).toBe(error);
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
