/** failure: which exit code, document and text each kind of error becomes. */
import { CommanderError } from "commander";
import { describe, expect, test } from "vitest";
import {
  assert,
  ERROR_CODES,
  MediaError,
  StorageError,
  type ErrorCode,
} from "../../src/base/index.ts";
import { describeFailure, InterruptedError } from "../../src/cli/failure.ts";

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("describeFailure()", () => {
  test.each(Object.keys(ERROR_CODES) as ErrorCode[])(
    "gives %s the exit code of its table",
    (code) => {
      const error = new StorageError(code, "Cannot do it", { path: "disk.img", syscall: "open" });
      const { exitCode, document, text } = describeFailure(error);
      expect(exitCode).toBe(ERROR_CODES[code].exitCode);
      expect(document).toEqual({
        schema: "theriac.error/1",
        code,
        message: `${code}: Cannot do it`,
        exitCode,
        path: "disk.img",
        syscall: "open",
      });
      expect(text).toBe(`${code}: Cannot do it\n`);
    },
  );

  test("names the ranges of a media error, bounded", () => {
    const ranges = Array.from({ length: 5000 }, (_, at) => ({
      offset: at * 8,
      length: 4,
      state: "poisoned" as const,
    }));
    const { exitCode, document } = describeFailure(
      new MediaError("Cannot heal", { device: "disk.img", ranges }),
    );
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({ code: "EIO", device: "disk.img", rangeCount: 5000 });
    expect(document["ranges"]).toHaveLength(1000);
  });

  test.each([
    [
      "commander",
      new CommanderError(
        1,
        "commander.missingArgument",
        "error: missing required argument 'image'",
      ),
    ],
    ["a RangeError", new RangeError("Cannot use range: offset 9 is past the end at 8")],
    ["a TypeError", new TypeError("Cannot use range: want whole numbers: got -1")],
  ])("takes %s for the caller's mistake", (_what, error) => {
    const { exitCode, document, text } = describeFailure(error);
    expect(exitCode).toBe(2);
    expect(document).toMatchObject({ code: "USAGE" });
    expect(text).toContain("theriac --help");
    expect(text).not.toContain("error: ");
  });

  const nothing = undefined as unknown as { field: { deeper: number }; call(): void };
  test.each([
    ["an assertion", () => assert(false, "R7: the four add up")],
    ["a field of nothing", () => nothing.field],
    ["a call of what is no function", () => ({ ...nothing }).call()],
    ["an array without end", () => "x".repeat(2 ** 40)],
    [
      "another error",
      () => {
        throw new Error("what is this");
      },
    ],
    [
      "what is no error",
      () => {
        throw "a text" as unknown as Error;
      },
    ],
  ])("takes %s for a bug of ours, never for exit 1 or 2", (_what, action) => {
    const { exitCode, document, text } = describeFailure(thrownBy(action));
    expect(exitCode).toBe(70);
    expect(document).toMatchObject({ code: "BUG" });
    expect(text).toContain("bug of Theriac");
  });

  test("takes Node's own file errors for what they are", () => {
    const error = Object.assign(new Error("EACCES: permission denied, open 'x'"), {
      code: "EACCES",
      path: "x",
    });
    expect(describeFailure(error)).toMatchObject({
      exitCode: 3,
      document: { code: "EACCES", path: "x" },
    });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("gives %s %i", (signal, exitCode) => {
    expect(describeFailure(new InterruptedError(signal))).toMatchObject({
      exitCode,
      document: { code: "INTERRUPTED" },
    });
  });

  test("makes control characters of a message visible", () => {
    expect(describeFailure(new StorageError("ENOENT", "no \u001B[2J file")).text).toBe(
      "ENOENT: no \\x1b[2J file\n",
    );
  });
});
