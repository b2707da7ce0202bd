/** administratorsProgram(): a program that makes or checks file systems, which not every user's PATH leads to. */
import { runProgram } from "../../os/index.ts";

/** Milliseconds that making or checking a file system may take. */
const TIMEOUT_MS = 120_000;

/** Runs it, in plain English; `undefined` where this machine has none of that name. `text` is what it printed, and then its errors. */
export async function administratorsProgram(
  name: string,
  args: readonly string[],
): Promise<{ readonly status: number; readonly text: string } | undefined> {
  const answer = await runProgram([name, ...args], {
    timeoutMs: TIMEOUT_MS,
    environment: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`, LC_ALL: "C" },
  });
  if (answer.kind === "missing") return undefined;
  return { status: answer.status, text: answer.stdout.toString() + answer.stderr };
}
