/** command-list: every command loads, and stands in every document that lists commands. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/command-list.ts";

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("COMMANDS", () => {
  test.each(COMMANDS.map((entry) => [entry.name, entry] as const))(
    "%s loads and can be configured",
    async (name, entry) => {
      const module = await entry.load();
      const command = new Command(name);
      module.configure(command);
      expect(command.options.map(({ long }) => long)).not.toContain("--json");
      expect(entry.summary).toMatch(/^[a-z].{10,60}[^.]$/);
    },
  );

  test("docs/commands.md has a section for each, in the same order", () => {
    const sections = [...read("docs/commands.md").matchAll(/^## ([a-z]+)$/gm)].map(
      (match) => match[1],
    );
    expect(sections).toEqual(COMMANDS.map(({ name }) => name));
  });

  test("docs/commands.md and the help name each option of each command", async () => {
    const text = read("docs/commands.md");
    for (const entry of COMMANDS) {
      const command = new Command(entry.name);
      (await entry.load()).configure(command);
      const start = text.indexOf(`## ${entry.name}\n`);
      const section = text.slice(start, text.indexOf("\n## ", start + 1) + 1 || undefined);
      const [general = ""] = text.split("## Exit codes");
      for (const { long, short } of command.options) {
        const named =
          section.includes(long ?? "") ||
          section.includes(`${short ?? "--none"} `) ||
          general.includes(long ?? "");
        expect(named || /options of plan/.test(section), `${entry.name} ${long ?? ""}`).toBe(true);
      }
    }
  });

  test("man/theriac.1 lists each", () => {
    const listed = [...read("man/theriac.1").matchAll(/^\.TP\n\.B ([a-z]+)\n/gm)].map(
      (match) => match[1],
    );
    expect(listed.filter((name) => COMMANDS.some((entry) => entry.name === name))).toEqual(
      COMMANDS.map(({ name }) => name),
    );
  });
});
