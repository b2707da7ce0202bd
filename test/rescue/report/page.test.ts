/** The page of a report: stands alone, obeys no stranger's name, and stays small. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createPrng, RangeSet } from "../../../src/base/index.ts";
import { PoisonList } from "../../../src/poison/index.ts";
import { reportPage, reportText, type Report } from "../../../src/rescue/index.ts";
import { damageMap } from "../../../src/rescue/report/damage-map.ts";
import { escapeHtml, visible } from "../../../src/rescue/report/html-text.ts";

const HOSTILE = [
  "/<script>alert(1)</script>",
  '/" onmouseover="alert(1)',
  "/' onload='x",
  "/</title></style><img src=x onerror=alert(1)>",
  "/&lt;b&gt;&amp;",
  "/new\nline\r\ttab",
  "/nul\0byte\u001b[31m",
  "/\u202Egpj.exe\u2066x",
  "/\uD800half",
  "/zero\u200Bwidth\uFEFF",
  "/`${x}`",
  `/${"long".repeat(5000)}`,
];

function made(paths: readonly string[], size = 2 ** 40): Report {
  const poison = new PoisonList(size);
  const damage = paths.map((path, index) => {
    const owner = { kind: "file", what: "data", ranges: [], why: path, paths: [path] } as const;
    const offset = Math.floor((size / paths.length) * index);
    poison.mark({ offset, length: 512 }, index % 2 === 0 ? "poisoned" : "lost");
    return { offset, length: 512, state: "poisoned", owners: [owner] } as const;
  });
  const range = { offset: 0, length: 512, state: "poisoned", at: 0 } as const;
  const step = (path: string) => ({
    offset: 0,
    length: 512,
    outcome: path,
    donor: path,
    path,
    reason: path,
    grade: path,
  });
  return {
    schema: "theriac.report/1",
    target: paths[0] ?? "disk.img",
    made: "2026-11-28T13:00:00.000Z",
    size,
    totals: poison.totals(),
    missing: 512 * paths.length,
    moved: Object.fromEntries(paths.slice(0, 3).map((path) => [path, 5])),
    volumes: paths.slice(0, 2).map((path) => ({
      name: path,
      label: path,
      filesystem: "ext4",
      offset: 0,
      length: size,
      uuid: null,
      journal: null,
      why: null,
      problems: [],
    })),
    files: paths.map((path) => ({
      paths: [path, path],
      volume: 0,
      inode: 5,
      what: "data",
      bytes: 512,
      ranges: Array.from({ length: 100 }, () => range),
    })),
    elsewhere: paths.map((path) => ({
      kind: "metadata",
      what: "inode-table",
      bytes: 5,
      ranges: 1,
      at: 0,
      why: path,
    })),
    history: paths.map((path) => ({
      what: path,
      at: path,
      donors: [path],
      sums: { [path]: 5 },
      steps: paths.slice(0, 200).map(step),
    })),
    map: damageMap({ poison, damage, repaired: new RangeSet() }),
    notes: [...paths],
  };
}

const page = (report: Report): string => [...reportPage(report)].join("");

describe("reportPage()", () => {
  test("stands alone: no script, no address, and a policy that allows nothing but its own style", () => {
    const html = page(made(["/a"]));
    expect(html).not.toMatch(
      /<script|javascript:|https?:|\ssrc=|@import|<link|<iframe|<form|\sstyle=/i,
    );
    expect(html.match(/url\([^)]*\)/g)?.every((url) => url.startsWith("url(#"))).toBe(true);
    const style = /<style>(.*)<\/style>/s.exec(html)?.[1] ?? "";
    const hash = createHash("sha256").update(style).digest("base64");
    expect(html).toContain(`content="default-src 'none'; style-src 'sha256-${hash}'; `);
  });

  test("no name of a stranger becomes markup, an attribute or an invisible character", () => {
    const html = page(made(HOSTILE));
    expect(html).not.toMatch(/<script|<img|<b>&|onmouseover="|onload='/);
    expect(html).not.toMatch(
      // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
      /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u200B-\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/,
    );
    expect(Buffer.from(html).toString()).toBe(html);
    expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(html).toContain("\\u202egpj.exe");
    expect(html).toContain("new\\x0aline");
  });

  test("every tag that is opened is closed, whatever the names", () => {
    const html = page(made(HOSTILE)).replace(/<style>.*<\/style>/s, "");
    const open: string[] = [];
    for (const [, close, name, rest] of html.matchAll(/<(\/?)([a-z0-9]+)([^>]*)>/g)) {
      if (["meta", "input", "br", "path", "circle"].includes(name ?? "") || rest?.endsWith("/"))
        continue;
      if (close === "/") expect(open.pop()).toBe(name);
      else open.push(name ?? "");
    }
    expect(open).toEqual([]);
  });

  test("ids are there once, and every link of the map leads to one", () => {
    const html = page(made(["/a", "/b", "/c"]));
    const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...html.matchAll(/href="#([^"]*)"/g)].map(([, link]) => link);
    expect(links.length).toBeGreaterThan(0);
    expect(links.every((link) => ids.includes(link))).toBe(true);
  });

  test("stays below 1 MiB with every cell of the map damaged and a hundred thousand long names", () => {
    const prng = createPrng(3);
    const paths = Array.from(
      { length: 100_000 },
      () => `/${"<&\"'>".repeat(100)}${prng.below(2 ** 30)}`,
    );
    const report = made(paths.slice(0, 2000));
    const [file] = report.files;
    if (file === undefined) throw new Error("no file");
    const files = Array.from(paths, (path) => Object.assign({}, file, { paths: [path] }));
    Object.assign(report, { files });
    expect(Buffer.byteLength(page(report))).toBeLessThan(1024 * 1024);
  });

  test("R7: tells the four states and their sum, exactly", () => {
    const { poisoned, lost, total } = made(["/a", "/b"]).totals;
    const html = page(made(["/a", "/b"]));
    const grouped = (value: number): string => value.toLocaleString("en-US");
    expect(html).toContain(
      `total ${grouped(total)} = clean 0 + unread ${grouped(total - 1024)} + poisoned ${poisoned} + lost ${lost}`,
    );
  });

  test("never says that all is well where bytes are unread", () => {
    const html = page({ ...made([]), missing: 0 });
    expect(html).toContain("No data is known to be missing");
    expect(html).toContain("Nothing of the device has been read yet: more may be bad there");
  });
});

describe("reportText()", () => {
  test("writes no control character of a name", () => {
    const text = [...reportText(made(HOSTILE))].join("");
    // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
    expect(text).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u202E]/);
  });
});

describe("visible()", () => {
  test.each([
    ["plain été 日本語", "plain été 日本語"],
    ["a\u0000b", "a\\x00b"],
    ["\u202Ex", "\\u202ex"],
    ["\uD83D\uDE00", "\uD83D\uDE00"],
    ["\uDE00", "\uFFFD"],
  ])("of %j is %j", (text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  test("cuts a long text in its middle, and no character in two", () => {
    const shown = visible("\uD83D\uDE00".repeat(1000));
    expect(Array.from(shown).length).toBeLessThan(410);
    expect(escapeHtml(shown)).not.toContain("\uFFFD");
  });
});
