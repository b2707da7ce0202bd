/** Programs: answers of other programs as they were recorded, in the place of the programs. */
import type { ProgramAnswer, ProgramRunner } from "../../../src/os/index.ts";

/** An answer: a text on stdout and exit 0, unless said otherwise. */
export function printed(
  stdout: string | Uint8Array,
  rest: Partial<Omit<ProgramAnswer, "stdout">> = {},
): ProgramAnswer {
  return { kind: "ended", status: 0, stderr: "", ...rest, stdout: Buffer.from(stdout) };
}

/** What a run of the real program that is not installed, hangs or fails comes to. */
export const MISSING: ProgramAnswer = printed("", { kind: "missing", status: -1 });
export const HUNG: ProgramAnswer = printed("", { kind: "hung", status: -1 });

/** A runner that gives these answers in turn, the last one for ever, and remembers what it was asked. */
export function fakeRunner(...answers: readonly ProgramAnswer[]): {
  readonly run: ProgramRunner;
  readonly calls: string[];
} {
  const calls: string[] = [];
  return {
    calls,
    run: async (words) => {
      calls.push(words.join(" "));
      return answers[Math.min(calls.length, answers.length) - 1] ?? MISSING;
    },
  };
}
