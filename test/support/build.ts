/** Builds dist/ once before all suites where a source is newer than what was built: tests of the program run it as a user does. */
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

function newestIn(folder: string): number {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .reduce((newest, name) => Math.max(newest, statSync(join(ROOT, folder, name)).mtimeMs), 0);
}

/** Called by vitest. */
export function setup(): void {
  const built = statSync(join(ROOT, "dist/cli/main.js"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (built > newestIn("src")) return;
  execFileSync(process.execPath, [join(ROOT, "scripts/build.mjs")], { stdio: "pipe" });
}
