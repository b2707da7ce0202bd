/** watch-commands: a few at once, never more, each with its event; failures are told and change nothing. */
import { describe, expect, test } from "vitest";
import { EventCommands } from "../../../src/cli/commands/watch-commands.ts";
import type { ProgramAnswer, RunProgramOptions } from "../../../src/os/index.ts";
import type { WatchEvent } from "../../../src/rescue/index.ts";

function event(number: number): WatchEvent {
  return {
    schema: "theriac.event/1",
    number,
    time: "2026-01-01T00:00:00.000Z",
    target: "$(touch /tmp/x); a b",
    change: "appeared",
    bytes: 512,
    rangeCount: 1,
    ranges: [{ offset: 0, length: 512, state: "poisoned" }],
    files: [],
    fileCount: 0,
  };
}

/** A runner whose programs end when the test says so. */
function held(): {
  readonly run: (words: readonly string[], options?: RunProgramOptions) => Promise<ProgramAnswer>;
  readonly calls: { words: readonly string[]; options: RunProgramOptions | undefined }[];
  end(index: number, answer?: Partial<ProgramAnswer>): void;
} {
  const ends: ((answer: ProgramAnswer) => void)[] = [];
  const calls: { words: readonly string[]; options: RunProgramOptions | undefined }[] = [];
  return {
    calls,
    run(words, options) {
      calls.push({ words, options });
      return new Promise((resolve) => ends.push(resolve));
    },
    end: (index, answer = {}) =>
      ends[index]?.({ kind: "ended", status: 0, stdout: Buffer.alloc(0), stderr: "", ...answer }),
  };
}

describe("EventCommands", () => {
  test("start() gives the program its words as they are and the event on its input", async () => {
    const programs = held();
    const warnings: string[] = [];
    const commands = new EventCommands({
      words: ["notify", "--urgent", "$HOME"],
      jobs: 1,
      timeoutMs: 5000,
      warn: (message) => warnings.push(message),
      run: programs.run,
    });
    await commands.start(event(7));
    expect(programs.calls[0]?.words).toEqual(["notify", "--urgent", "$HOME"]);
    expect(programs.calls[0]?.options).toMatchObject({
      timeoutMs: 5000,
      input: `${JSON.stringify(event(7))}\n`,
      environment: { THERIAC_CHANGE: "appeared", THERIAC_NUMBER: "7" },
    });
    programs.end(0);
    await commands.end();
    expect(warnings).toEqual([]);
  });

  test("start() waits while all places are taken", async () => {
    const programs = held();
    const options = { words: ["notify"] as const, jobs: 2, timeoutMs: 1, warn: () => undefined };
    const commands = new EventCommands({ ...options, run: programs.run });
    await commands.start(event(1));
    await commands.start(event(2));
    const third = commands.start(event(3));
    expect(programs.calls.length).toBe(2);
    programs.end(1);
    await third;
    expect(programs.calls.length).toBe(3);
    programs.end(0);
    programs.end(2);
    await commands.end();
    expect(commands.counts).toEqual({ run: 3, failed: 0 });
  });

  test.each([
    [{ status: 3, stderr: "no mail\n" }, "event 1: notify ended with 3: no mail"],
    [{ kind: "missing", status: -1 }, "event 1: notify could not be run"],
    [{ kind: "hung", status: -1 }, "event 1: notify was killed at its limit of time"],
  ] as const)("end() has told how a command failed: %j", async (answer, message) => {
    const programs = held();
    const warnings: string[] = [];
    const commands = new EventCommands({
      words: ["notify"],
      jobs: 1,
      timeoutMs: 1,
      warn: (text) => warnings.push(text),
      run: programs.run,
    });
    await commands.start(event(1));
    programs.end(0, answer);
    await commands.end();
    expect(warnings).toEqual([message]);
    expect(commands.counts).toEqual({ run: 1, failed: 1 });
  });
});
