/** The error of a mapped access, for tests. */
import { expect } from "vitest";
import { MemoryError } from "../../../src/file/index.ts";

/** The error that a call throws. */
export function faultOf(call: () => unknown): MemoryError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(MemoryError);
    return error as MemoryError;
  }
  throw new Error("want a MemoryError: nothing was thrown");
}
