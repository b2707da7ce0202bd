/** Documents: the example of docs/recovery.md is run as it stands, its names exist, and the pages of the two calls name every flag and error. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as file from "../src/file/index.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const page = read("docs/recovery.md");

/** The first block of a language. */
function blockOf(language: string): string {
  return new RegExp("```" + language + "\\n([\\s\\S]*?)```").exec(page)?.[1] ?? "";
}

describe("docs/recovery.md", () => {
  test("its example prints what the page says", () => {
    const args = ["--input-type=module", "--eval", blockOf("js")];
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    expect({ stdout, stderr }).toEqual({ stdout: blockOf("text"), stderr: "" });
  });

  test("every function and file that it names is there", () => {
    const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => [name, read(join("src", name))] as const);
    const text = sources.map(([, content]) => content).join("\n");
    const functions = [...page.matchAll(/`(?:\w+\.)?(\w+)\(\)`/g)].map((match) => match[1] ?? "");
    expect(functions.length).toBeGreaterThan(20);
    const missing = functions.filter((name) => !new RegExp(`\\b${name}\\(`).test(text));
    const files = [...page.matchAll(/`((?:device|dax|file|poison)\/[\w-]+\.ts)`/g)].map(
      (match) => match[1] ?? "",
    );
    expect(files.length).toBeGreaterThan(5);
    const gone = files.filter((name) => !sources.some(([path]) => path === name));
    expect({ missing, gone }).toEqual({ missing: [], gone: [] });
  });
});

describe.each(["preadv2", "pwritev2"])("man/theriac-%s.3", (call) => {
  const man = read(`man/theriac-${call}.3`).replaceAll("\\-", "-");

  test("names every flag", () => {
    const flags = Object.keys(file).filter((name) => name.startsWith("RWF_"));
    expect(flags.length).toBe(10);
    expect(flags.filter((name) => !man.includes(name))).toEqual([]);
    expect(man).toContain(`0x${file.RWF_RECOVERY_DATA.toString(16)}`);
  });

  test("names every code that its docstring names", () => {
    const source = read("src/file/file.ts");
    const end = source.indexOf(`  ${call}(`);
    const docstring = source.slice(source.lastIndexOf("/**", end), end);
    const codes = [...docstring.matchAll(/\bE[A-Z]{2,}\b/g)].map(([code]) => code);
    expect(codes.length).toBeGreaterThan(1);
    expect(codes.filter((code) => !man.includes(code))).toEqual([]);
  });
});
