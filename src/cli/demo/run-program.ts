/** runProgram(): runs a program of this machine, one of its administrator's too. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs a program; `undefined` where this machine has none of that name, even in the folders of its administrator. */
export async function runProgram(
  name: string,
  args: readonly string[],
): Promise<{ readonly status: number; readonly text: string } | undefined> {
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  try {
    const { stdout, stderr } = await run(name, [...args], {
      env: { ...process.env, PATH: path, LC_ALL: "C" },
    });
    return { status: 0, text: stdout + stderr };
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { stdout?: string; stderr?: string };
    if (failure.code === "ENOENT") return undefined;
    return {
      status: Number(failure.code ?? 1),
      text: `${failure.stdout ?? ""}${failure.stderr ?? ""}`,
    };
  }
}
