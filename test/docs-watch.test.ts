/** Documents: the unit of docs/watch.md is one that systemd takes, and its words are those of the program. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { COMMANDS } from "../src/cli/command-list.ts";

const page = readFileSync(join(import.meta.dirname, "../docs/watch.md"), "utf8");
const unit = /```ini\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
const missing =
  spawnSync("systemd-analyze", ["--version"]).error === undefined
    ? ""
    : " (skipped: no systemd-analyze)";

describe("docs/watch.md", () => {
  test.skipIf(missing !== "")(`its unit passes systemd-analyze verify${missing}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "theriac-unit-"));
    try {
      const path = join(folder, "theriac-watch.service");
      // the program and the page are not installed here
      const here = unit
        .replace("/usr/bin/theriac", process.execPath)
        .replace(/^Documentation.*\n/m, "");
      writeFileSync(path, here);
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", path], {
        encoding: "utf8",
      });
      const ours = stderr.split("\n").filter((line) => line.includes("theriac-watch"));
      expect({ status, ours }).toEqual({ status: 0, ours: [] });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("its unit calls the program with options that it has", async () => {
    const command = new Command("watch");
    (await COMMANDS.find(({ name }) => name === "watch")?.load())?.configure(command);
    const words = /^ExecStart=(.*)$/m.exec(unit)?.[1]?.split(" ") ?? [];
    const options = words.filter((word) => word.startsWith("--"));
    expect(options.length).toBeGreaterThan(0);
    const known = new Set(command.options.map(({ long }) => long));
    expect(options.filter((option) => !known.has(option))).toEqual([]);
  });
});
