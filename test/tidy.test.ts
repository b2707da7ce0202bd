/** House rules that the linter cannot hold: layers, head comments, docstrings, sizes, documents that match the code. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { ERROR_CODES } from "../src/base/index.ts";

const root = join(import.meta.dirname, "..");
const LAYERS = [
  "base",
  "os",
  "poison",
  "device",
  "mapper",
  "dax",
  "fs",
  "file",
  "donor",
  "rescue",
  "nbd",
  "cli",
] as const;
const FILE_LINES_MAX = 400;

function filesUnder(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && statSync(join(root, folder, name)).isFile())
    .map((name) => join(folder, name))
    .sort();
}

const sources = filesUnder("src", ".ts").map((path) => ({
  path,
  text: readFileSync(join(root, path), "utf8"),
}));
const tests = filesUnder("test", ".ts").map((path) => ({
  path,
  text: readFileSync(join(root, path), "utf8"),
}));
const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...filesUnder("docs", ".md"),
];

function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(
    (match) => match[1] as string,
  );
}

function layerOf(path: string): string {
  return path.split("/")[1] as string;
}

function badImports(source: { readonly path: string; readonly text: string }): string[] {
  const own = layerOf(source.path);
  const problems: string[] = [];
  for (const name of importsOf(source.text)) {
    if (name === "koffi" && own !== "os")
      problems.push(`${source.path}: only src/os imports koffi`);
    if (!name.startsWith(".")) continue;
    const target = normalize(join(dirname(source.path), name));
    const layer = layerOf(target);
    if (layer === own || source.path === "src/index.ts") continue;
    const order = LAYERS as readonly string[];
    const upward =
      own === "testing"
        ? layer === "cli"
        : order.indexOf(layer) >= order.indexOf(own) || layer === "testing";
    if (upward && own !== "cli")
      problems.push(`${source.path}: ${own} may not import ${name}: it is above`);
    if (target !== `src/${layer}/index.ts`)
      problems.push(`${source.path}: import ${layer} through its index.ts, not ${name}`);
  }
  return problems;
}

function undocumentedExports(source: { readonly path: string; readonly text: string }): string[] {
  const lines = source.text.split("\n");
  return lines.flatMap((line, at) => {
    const match =
      /^export (?:declare )?(?:abstract )?(?:async )?(?:const|function\*?|class|interface|type) (\w+)/.exec(
        line,
      );
    if (!match) return [];
    let above = at - 1;
    while (above > 0 && (lines[above] ?? "").startsWith("// oxlint-disable")) above -= 1;
    return (lines[above] ?? "").trimEnd().endsWith("*/")
      ? []
      : [`${source.path}:${at + 1}: export ${match[1]} needs a docstring`];
  });
}

describe("tidy", () => {
  test("src/ is nothing but the layers", () => {
    const folders = readdirSync(join(root, "src")).filter(
      (name) => name !== "index.ts" && name !== "testing",
    );
    expect(folders.filter((name) => !(LAYERS as readonly string[]).includes(name))).toEqual([]);
  });

  test("a folder imports only from lower layers, through index.ts", () => {
    expect(sources.flatMap(badImports)).toEqual([]);
  });

  test("every source and test file begins by saying what it is", () => {
    const silent = [...sources, ...tests]
      .filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text))
      .map(({ path }) => path);
    expect(silent).toEqual([]);
  });

  test("every export has a docstring", () => {
    expect(sources.flatMap(undocumentedExports)).toEqual([]);
  });

  test("no file is longer than its limit", () => {
    const long = [...sources, ...tests]
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > FILE_LINES_MAX);
    expect(long).toEqual([]);
  });

  test("no file holds what the house bans", () => {
    const banned: readonly (readonly [RegExp, string])[] = [
      [/\b(TODO|FIXME|XXX)\b/, "finish it, or open an issue"],
      [/^export default/m, "name the export"],
      [/^\s*(export )?(const )?enum /m, "use a union of literals"],
      [/@ts-(ignore|nocheck)/, "mend the type"],
    ];
    const found = sources.flatMap(({ path, text }) =>
      banned
        .filter(([pattern]) => pattern.test(text))
        .map(([pattern, wish]) => `${path}: ${pattern}: ${wish}`),
    );
    expect(found).toEqual([]);
  });

  test("no test is left alone or skipped without a reason", () => {
    const left = tests
      .filter(({ path }) => path !== "test/tidy.test.ts")
      .filter(({ text }) => /\.(only|todo)\(|\b(test|it|describe)\.skip\(/.test(text))
      .map(({ path }) => path);
    expect(left).toEqual([]);
  });

  test("every test file begins with the name of a source file, or stands in a folder for whole-system tests", () => {
    const free =
      /^test\/(interop|simulation|kernel|support)\/|^test\/[^/]+$|\/support\/|\/fixtures\//;
    const names = sources.map(({ path }) => path.replace(/^src\//, "test/").replace(/\.ts$/, ""));
    const orphans = tests
      .filter(({ path }) => path.endsWith(".test.ts") && !free.test(path))
      .map(({ path }) => path)
      .filter(
        (path) => !names.some((name) => path === `${name}.test.ts` || path.startsWith(`${name}-`)),
      );
    expect(orphans).toEqual([]);
  });
});

describe("documents", () => {
  test("docs/errors.md has one heading for each code, and no other", () => {
    const text = readFileSync(join(root, "docs/errors.md"), "utf8");
    const headings = [...text.matchAll(/^## (E[A-Z]+)$/gm)].map((match) => match[1] as string);
    expect(headings.sort()).toEqual(Object.keys(ERROR_CODES).sort());
  });

  test("every link between documents leads somewhere", () => {
    const dead = documents.flatMap((path) => {
      const text = readFileSync(join(root, path), "utf8").replace(/```[\s\S]*?```/g, "");
      return [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1] as string)
        .filter((link) => !/^[a-z]+:/.test(link))
        .filter(
          (link) =>
            statSync(join(root, dirname(path), link), { throwIfNoEntry: false }) === undefined,
        )
        .map((link) => `${path}: ${link}`);
    });
    expect(dead).toEqual([]);
  });

  test("nothing names a path of one machine", () => {
    const paths = [...sources, ...tests].map(({ path }) => path).concat(documents);
    const found = paths
      .filter((path) => path !== "test/tidy.test.ts")
      .filter((path) =>
        /\/(work|root|home\/\w+)\/|registry\.npmjs/.test(readFileSync(join(root, path), "utf8")),
      )
      .map((path) => relative(root, join(root, path)));
    expect(found).toEqual([]);
  });
});
