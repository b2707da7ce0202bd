/** main: the program from outside: exit codes, one document, bad input, signals, pipes, colours. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openDevice } from "../../src/device/index.ts";
import { MAIN, theriac, theriacJson, useWorkplace } from "./support/theriac.ts";

const place = useWorkplace();

describe("theriac", () => {
  test("prints its help and version on stdout and ends with 0", async () => {
    const help = await theriac(["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const verb of [
      "create",
      "inject",
      "scrub",
      "list",
      "survey",
      "salvage",
      "plan",
      "repair",
      "verify",
      "digest",
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${verb}`, "m"));
    }
    expect(help.stdout.split("\n").every((line) => line.length <= 80)).toBe(true);
    const { version } = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    ) as { version: string };
    expect(await theriac(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  test.each([[["help", "list"]], [["list", "--help"]]])(
    "prints the help of a command: %s",
    async (args) => {
      const { code, stdout } = await theriac(args);
      expect(code).toBe(0);
      expect(stdout).toContain("--format <format>");
      expect(stdout).toContain("--json");
    },
  );

  test.each([
    ["no command", []],
    ["an unknown command", ["lits", "x"]],
    ["an unknown option", ["list", "x", "--colour"]],
    ["a missing argument", ["list"]],
    ["one argument too many", ["list", "a", "b"]],
    ["an option without its value", ["create", "x", "--size"]],
    ["a size that is none", ["create", "x", "--size", "1.5Q"]],
    ["a size past 2^53", ["create", "x", "--size", "99999999P"]],
    ["a unit that is no power of two", ["create", "x", "--size", "1M", "--poison-unit", "100"]],
    ["a word outside the list", ["create", "x", "--size", "1M", "--clear", "maybe"]],
    ["neither size nor adopt", ["create", "x"]],
    ["a size that does not fit its units", ["create", "x", "--size", "1000"]],
    ["a size of 0", ["create", "x", "--size", "0"]],
    ["a mode of progress that is none", ["list", "x", "--progress", "loud"]],
  ])("ends with 2 after %s, in text and in JSON", async (_what, args) => {
    const text = await theriac(args);
    expect(text).toMatchObject({ code: 2, stdout: "" });
    expect(text.stderr).toMatch(/^theriac/);
    expect(text.stderr).not.toContain("    at ");
    const { code, document } = await theriacJson(args);
    expect(code).toBe(2);
    expect(document).toMatchObject({ schema: "theriac.error/1", code: "USAGE", exitCode: 2 });
    expect(statSync("x", { throwIfNoEntry: false })).toBeUndefined();
  });

  const VERBS: readonly (readonly [string, readonly string[]])[] = [
    ["list", []],
    ["scrub", []],
    ["inject", ["--at", "0", "--length", "64"]],
  ];
  test.each(VERBS)(
    "%s ends with 3 where the image is missing, a directory or empty",
    async (verb, args) => {
      const directory = `${place.image}-directory`;
      mkdirSync(directory);
      const empty = `${place.image}-empty`;
      writeFileSync(empty, "");
      for (const [path, code] of [
        [join(place.folder, "nothing"), "ENOENT"],
        [directory, "EISDIR"],
      ] as const) {
        const run = await theriacJson([verb, path, ...args]);
        expect(run).toMatchObject({ code: 3, document: { schema: "theriac.error/1", code, path } });
      }
      expect((await theriac([verb, empty, ...args])).code).toBe(3);
      expect(statSync(`${empty}.theriac`, { throwIfNoEntry: false })).toBeUndefined();
    },
  );

  test("ends with 4 where another process holds the image, and changes nothing", async () => {
    const held = openDevice(place.image, { access: "write" });
    try {
      const before = readFileSync(`${place.image}.theriac`);
      for (const args of [
        ["list", place.image],
        ["scrub", place.image],
        ["inject", place.image, "--at", "0", "--length", "64"],
      ]) {
        const run = await theriacJson(args);
        expect(run).toMatchObject({ code: 4, document: { code: "EBUSY" } });
      }
      expect(readFileSync(`${place.image}.theriac`)).toEqual(before);
    } finally {
      held.close();
    }
  });

  test("ends with 3 where stdout is a full disk", async () => {
    const full = openSync("/dev/full", "w");
    try {
      const run = await theriac(["list", place.image], { stdout: full });
      expect(run.code).toBe(3);
      expect(run.stderr).toContain("ENOSPC");
    } finally {
      closeSync(full);
    }
  });

  test("ends quietly where the reader of stdout goes away", async () => {
    await theriac(["inject", place.image, ...manyPlaces(300)]);
    const script = `{ "${process.execPath}" "${MAIN}" list "${place.image}" --all; echo "code $?" >&2; } 2>&1 >&3 | cat`;
    const output = execFileSync(
      "bash",
      ["-c", `exec 3> >(head -c 10 >/dev/null); sleep 0.2; ${script}`],
      { encoding: "utf8" },
    );
    expect(output).toBe("code 0\n");
  });

  test("writes colour only where it is wanted", async () => {
    const escape = "\u001B[";
    expect((await theriac(["list", place.image])).stdout).not.toContain(escape);
    expect((await theriac(["list", place.image], { env: { FORCE_COLOR: "1" } })).stdout).toContain(
      escape,
    );
    expect(
      (await theriac(["list", place.image], { env: { FORCE_COLOR: "1", NO_COLOR: "1" } })).stdout,
    ).not.toContain(escape);
  });

  test("shows progress as NDJSON on stderr where it is asked for, and nothing where it is not", async () => {
    const silent = await theriac(["scrub", place.image]);
    expect(silent.stderr).toBe("");
    const { stderr, stdout } = await theriac([
      "scrub",
      place.image,
      "--json",
      "--progress",
      "json",
    ]);
    const lines = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { schema: string; done: number; total: number });
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.at(-1)).toMatchObject({
      schema: "theriac.progress/1",
      done: 1048576,
      total: 1048576,
    });
    expect(JSON.parse(stdout)).toMatchObject({ schema: "theriac.scrub/1" });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "ends between two steps after %s with %i, and drops its lock",
    async (signal, code) => {
      const large = join(place.folder, `large-${signal}`);
      // Data, because holes are passed; and slow, so that the signal always comes in the middle.
      writeFileSync(large, Buffer.alloc(128 * 1024 ** 2, 1));
      await theriac(["create", large, "--adopt"]);
      await theriac(["inject", large, "--fault", "slow", "--at", "0", "--length", "128M"]);
      let sent = false;
      const run = await theriac(["scrub", large, "--json", "--progress", "json"], {
        onStderr(text, kill) {
          if (!sent && text.includes("reading")) kill(signal);
          sent ||= text.includes("reading");
        },
      });
      rmSync(large);
      rmSync(`${large}.theriac`, { force: true });
      expect(run.code).toBe(code);
      expect(JSON.parse(run.stdout)).toMatchObject({
        schema: "theriac.error/1",
        code: "INTERRUPTED",
      });
    },
  );
});

/** Arguments that inject at many places. */
function manyPlaces(places: number): string[] {
  return [
    ...Array.from({ length: places }, (_, at) => ["--at", String(at * 1024)]).flat(),
    "--length",
    "64",
  ];
}
