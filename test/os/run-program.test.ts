/** run-program: other programs as answers: none of their ways to fail throws, and none takes longer than its limit. */
import { describe, expect, test } from "vitest";
import { runProgram } from "../../src/os/index.ts";

const node = process.execPath;

describe("runProgram()", () => {
  test("runProgram() gives exit code, output and complaints", async () => {
    const script = 'process.stdout.write("out"); process.stderr.write("err"); process.exitCode = 7';
    const answer = await runProgram([node, "-e", script]);
    expect({ ...answer, stdout: answer.stdout.toString() }).toEqual({
      kind: "ended",
      status: 7,
      stdout: "out",
      stderr: "err",
    });
  });

  test("runProgram() tells of a program that is not there", async () => {
    expect(await runProgram(["theriac-no-such-program"])).toMatchObject({ kind: "missing" });
  });

  test("runProgram() takes words as words, not as a shell's", async () => {
    const words = ["$(id)", "a b", "; exit 1", "*"];
    const script = "process.stdout.write(JSON.stringify(process.argv.slice(1)))";
    const answer = await runProgram([node, "-e", script, ...words]);
    expect(JSON.parse(answer.stdout.toString())).toEqual(words);
  });

  test("runProgram() kills what does not end, and does not wait for it", async () => {
    const answer = await runProgram([node, "-e", "setInterval(() => {}, 1e6)"], { timeoutMs: 1 });
    expect(answer).toMatchObject({ kind: "hung", status: -1 });
  });

  test("runProgram() kills what prints without end, and keeps no more than it was told", async () => {
    const script = 'for (;;) process.stdout.write("y".repeat(65536))';
    const answer = await runProgram([node, "-e", script], { outputMax: 100_000 });
    expect(answer.kind).toBe("flood");
    expect(answer.stdout.length).toBeLessThanOrEqual(100_000);
  });

  test("runProgram() hands input over, and does not mind who leaves it", async () => {
    const echo = "process.stdin.pipe(process.stdout)";
    expect((await runProgram([node, "-e", echo], { input: "{}\n" })).stdout.toString()).toBe(
      "{}\n",
    );
    const deaf = "process.stdin.destroy()";
    const answer = await runProgram([node, "-e", deaf], { input: "x".repeat(4_000_000) });
    expect(answer).toMatchObject({ kind: "ended", status: 0 });
  });

  test("runProgram() ends with the caller's signal", async () => {
    const abort = new AbortController();
    const answer = runProgram([node, "-e", "setInterval(() => {}, 1e6)"], { signal: abort.signal });
    abort.abort();
    expect(await answer).toMatchObject({ kind: "aborted" });
  });
});
