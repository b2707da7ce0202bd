/** Documents: the example of docs/mapping.md is run as it stands, and prints what the page says. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/mapping.md"), "utf8");

/** The first block of a language. */
function blockOf(language: string): string {
  return new RegExp("```" + language + "\\n([\\s\\S]*?)```").exec(page)?.[1] ?? "";
}

test("the example of docs/mapping.md prints what the page says", () => {
  // The package names itself, so the example imports what a user would.
  const args = ["--input-type=module", "--eval", blockOf("js")];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  expect({ stdout, stderr }).toEqual({ stdout: blockOf("text"), stderr: "" });
});
