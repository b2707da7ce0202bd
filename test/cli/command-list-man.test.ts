/** command-list in man/: every command has a page that says what its help says, no page says more, and roff's own readers find nothing wrong. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { COMMANDS, type CommandEntry } from "../../src/cli/command-list.ts";

const MAN = join(import.meta.dirname, "../../man");
const pages = readdirSync(MAN).sort();
const read = (name: string): string => readFileSync(join(MAN, name), "utf8");
const plain = (name: string): string => read(name).replaceAll("\\-", "-");

async function configured(entry: CommandEntry): Promise<Command> {
  const command = new Command(entry.name);
  (await entry.load()).configure(command);
  return command;
}

/** Options that a page explains: those at the heads of its tagged paragraphs. */
function explained(page: string): readonly string[] {
  const heads = [...page.matchAll(/^\.TP\n(.*)$/gm)].map(([, head = ""]) => head);
  return heads.flatMap((head) => head.match(/--[a-z][a-z-]*/g) ?? []);
}

describe("man/", () => {
  test("every command has a page, and every page of section 1 a command", () => {
    const ours = COMMANDS.map(({ name }) => `theriac-${name}.1`);
    expect(pages.filter((name) => name.endsWith(".1"))).toEqual([...ours, "theriac.1"].sort());
  });

  test.each(COMMANDS.map((entry) => [entry.name, entry] as const))(
    "theriac-%s.1 explains each option, and no other; its synopsis names each, or says that there are some",
    async (name, entry) => {
      const command = await configured(entry);
      const page = plain(`theriac-${name}.1`);
      const options = command.options.map(({ long }) => long ?? "");
      const told = explained(page);
      const shared = new Set(["--json", "--progress", "--help"]);
      expect(options.filter((option) => !told.includes(option))).toEqual([]);
      expect(told.filter((option) => !options.includes(option) && !shared.has(option))).toEqual([]);
      const synopsis = page.slice(page.indexOf(".SH SYNOPSIS"), page.indexOf(".SH DESCRIPTION"));
      // a synopsis of many options may say that there are options
      if (/\.RI \[ (?:options?|settings) \]/.test(synopsis)) return;
      const unnamed = command.options.filter(({ long, short }) =>
        [long ?? short, short ?? long].every(
          (option) => !new RegExp(`${option ?? ""}(?![a-z-])`).test(synopsis),
        ),
      );
      expect(unnamed.map(({ long }) => long)).toEqual([]);
    },
  );

  test.each(COMMANDS.map(({ name }) => name))(
    "theriac-%s.1 has its name, what it does, how it ends, and where to read on",
    (name) => {
      const page = plain(`theriac-${name}.1`);
      expect(page).toMatch(
        new RegExp(`^\\.TH THERIAC-${name.toUpperCase()} 1 \\d{4}-\\d\\d-\\d\\d `),
      );
      expect(page).toContain(`.SH NAME\ntheriac-${name} - `);
      for (const heading of ["SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"])
        expect(page).toContain(`\n.SH ${heading}\n`);
      expect(page).toContain("theriac (1)");
    },
  );

  test("theriac.1 leads to every other page", () => {
    const also = plain("theriac.1").slice(plain("theriac.1").indexOf(".SH SEE ALSO"));
    for (const name of pages.filter((page) => page !== "theriac.1"))
      expect(also).toContain(`.BR ${name.slice(0, -2)} (${name.slice(-1)})`);
  });

  const unread = spawnSync("mandoc", ["-h"]).error === undefined ? "" : " (skipped: no mandoc)";

  test.skipIf(unread !== "").each(pages)(`mandoc finds nothing wrong in %s${unread}`, (name) => {
    const { status, stdout, stderr } = spawnSync(
      "mandoc",
      ["-T", "lint", "-W", "warning", join(MAN, name)],
      { encoding: "utf8" },
    );
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: "" });
  });

  test.skipIf(unread !== "").each(pages)(
    `a reader of %s sees all of its options, and no markup${unread}`,
    (name) => {
      const { stdout } = spawnSync("mandoc", ["-T", "utf8", "-O", "width=78", join(MAN, name)], {
        encoding: "utf8",
      });
      // bold is a letter over itself
      const text = stdout
        .split("\u0008")
        .map((piece, index, all) => (index < all.length - 1 ? piece.slice(0, -1) : piece))
        .join("")
        .replaceAll("\u2010", "-");
      expect(text).not.toMatch(/\\f[BIR]|^\.[A-Z]{2} /m);
      for (const option of explained(plain(name))) expect(text).toContain(option);
    },
  );
});
