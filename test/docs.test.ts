/** Documents: the examples of the front page are run as they stand, on an image made for them. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const main = join(root, "dist/cli/main.js");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** Command lines of the n-th `sh` block, without their comments. */
function commandsOf(block: number): string[][] {
  const text = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)][block]?.[1] ?? "";
  return text
    .split("\n")
    .map((line) => line.replace(/\s#.*/, "").trim())
    .filter((line) => line.startsWith("theriac "))
    .map((line) => line.split(/\s+/).slice(1));
}

describe("README", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "theriac-docs-"));
    cpSync(join(root, "docs"), join(folder, "backup/docs"), { recursive: true });
    writeFileSync(
      join(folder, "whole.img"),
      gunzipSync(readFileSync(join(root, "assets/demo.ext4.gz"))),
    );
    writeFileSync(
      join(folder, "dmesg.txt"),
      "[ 12.5] I/O error, dev sda, sector 1200 op 0x0:(READ) flags 0x0\n",
    );
    const map = "0x0 ? 1\n0x0 0x96000 +\n0x96000 0x200 -\n0x96200 0x369E00 +\n";
    writeFileSync(join(folder, "disk.map"), map);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const run = (args: readonly string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: "utf8" });

  test("the first session runs as it stands", () => {
    writeFileSync(join(folder, "disk.img"), readFileSync(join(folder, "whole.img")));
    const commands = commandsOf(0);
    expect(commands.length).toBeGreaterThan(4);
    for (const args of commands) {
      const { status, stderr } = run(args);
      expect({ args, status, stderr: String(stderr).slice(0, 400) }).toMatchObject({
        args,
        stderr: "",
      });
      expect([0, 1]).toContain(status);
    }
  });

  test("the session with a simulated image runs as it stands", () => {
    rmSync(join(folder, "disk.img"), { force: true });
    rmSync(join(folder, "disk.img.theriac"), { force: true });
    const commands = commandsOf(1);
    expect(commands.map(([verb]) => verb)).toEqual(["create", "inject", "scrub", "list"]);
    const results = commands.map((args) => run(args));
    expect(results.map(({ status }) => status)).toEqual([0, 0, 1, 0]);
    expect(String(results[3]?.stdout)).toContain("0x00100000  0x00000200  -");
  });
});
