/** Killed: runs the built program and kills it with SIGKILL: in the middle of one of its own writes, or from outside when its list has grown. */
import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MAIN } from "./theriac.ts";

/**
 * Loaded before the program: counts its writes, syncs and renames, and kills the process at one of them: before it, after a part of a write, or
 * after it. A process that kills itself so is as dead as one that another killed.
 */
const HOOK = `
const fs = require("node:fs");
const [at, when] = (process.env.KILL_AT ?? "0 none").split(" ");
let count = 0;
const die = () => process.kill(process.pid, "SIGKILL");
for (const name of ["writeSync", "fsyncSync", "renameSync", "ftruncateSync"]) {
  const real = fs[name];
  fs[name] = (...args) => {
    if (name !== "renameSync" && args[0] <= 2) return real(...args);
    count += 1;
    if (count !== Number(at)) return real(...args);
    if (when === "before") die();
    if (when === "torn" && name === "writeSync") args[3] = Math.floor(args[3] / 2);
    const result = real(...args);
    die();
    return result;
  };
}
process.on("exit", () => fs.writeFileSync(process.env.KILL_COUNT, String(count)));
`;

/** When the program is killed. */
export type KillMoment =
  | { readonly operation: number; readonly when: "before" | "torn" | "after" }
  /** From outside, as soon as a file has so many bytes. */
  | { readonly file: string; readonly bytes: number }
  | "never";

/** How it ended. */
export interface Death {
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  /** Writes, syncs and renames that it made; only of one that lived to its end. */
  readonly operations: number | undefined;
}

/** Runs `theriac ARGS` in a folder for its hook until it ends or is killed. */
export function runKilled(
  args: readonly string[],
  moment: KillMoment,
  folder: string,
): Promise<Death> {
  const hook = join(folder, "kill-hook.cjs");
  const counted = join(folder, "kill-count");
  writeFileSync(hook, HOOK);
  const inside = typeof moment === "object" && "operation" in moment ? moment : undefined;
  const outside = typeof moment === "object" && "file" in moment ? moment : undefined;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--require", hook, MAIN, ...args], {
      stdio: "ignore",
      env: {
        ...process.env,
        KILL_AT: inside === undefined ? "0 none" : `${inside.operation} ${inside.when}`,
        KILL_COUNT: counted,
      },
    });
    let over = false;
    const watch = (): void => {
      if (over || outside === undefined) return;
      if ((statSync(outside.file, { throwIfNoEntry: false })?.size ?? 0) >= outside.bytes)
        child.kill("SIGKILL");
      else setImmediate(watch);
    };
    watch();
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      over = true;
      const operations = signal === null ? Number(readFileSync(counted, "utf8")) : undefined;
      resolve({ code, signal, operations });
    });
  });
}
