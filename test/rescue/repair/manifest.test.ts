/** manifest: what is missing, in the forms that backup tools take. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Damage } from "../../../src/rescue/index.ts";
import { makeManifest, pathList } from "../../../src/rescue/index.ts";
import { removeTemporary, temporary } from "../support/tree.ts";

afterAll(removeTemporary);

function damageOf(path: string, offset: number): Damage {
  const ranges = [
    { offset: 4096, length: 512 },
    { offset: 65_536, length: 512 },
  ];
  const owner = { kind: "file", what: "data", inode: 12, paths: [path], ranges, why: "" } as const;
  return { offset, length: 1024, state: "poisoned", owners: [owner], volume: 0 };
}

const NAMES = ["/docs/plain", "/-rf", "/#note", "/;x", "/two\nlines", "/b\\xff\\\\c"];

describe("makeManifest()", () => {
  test("tells each piece of a file that is in one piece, and not free space", () => {
    const free = { kind: "free", what: "free-space", ranges: [], why: "" } as const;
    const manifest = makeManifest({
      target: "image",
      damage: [
        damageOf("/a", 8192),
        { offset: 0, length: 512, state: "lost", owners: [free], volume: 0 },
      ],
      givenUp: [],
      reasons: [{ offset: 8192, length: 1024, reason: "no donor has it" }],
    });
    expect(manifest).toMatchObject({ missing: 1024, givenUp: 0 });
    expect(manifest.lost).toMatchObject([
      { offset: 8192, length: 512, fileOffset: 4096, reason: "no donor has it" },
      { offset: 8704, length: 512, fileOffset: 65_536 },
    ]);
  });
});

describe("pathList()", () => {
  const damage = NAMES.map((name, at) => damageOf(name, at * 4096));
  const manifest = makeManifest({ target: "image", damage, givenUp: [] });

  test("names each file once, relative to the root, as the bytes of its name", () => {
    const { bytes, unsaid } = pathList(manifest, "nul");
    expect(unsaid).toEqual([]);
    const names = Buffer.from(bytes).toString("latin1").split("\0");
    expect(names.sort()).toEqual([
      "",
      "#note",
      "-rf",
      ";x",
      "b\xff\\c",
      "docs/plain",
      "two\nlines",
    ]);
  });

  test("leads what looks like an option or a comment by ./, and tells what no line can hold", () => {
    const { bytes, unsaid } = pathList(manifest, "lines");
    expect(unsaid).toEqual(["/two\nlines"]);
    const names = Buffer.from(bytes).toString("latin1").trimEnd().split("\n");
    expect(names.sort()).toEqual(["./#note", "./-rf", "./;x", "b\xff\\c", "docs/plain"]);
  });

  test("leads nobody out of the tree, whatever an image says", () => {
    const wrong = ["/../etc/shadow", "/a/../../b", "etc/passwd", "/a//b"].map((path, at) =>
      damageOf(path, at * 4096),
    );
    const { bytes, unsaid } = pathList(
      makeManifest({ target: "image", damage: wrong, givenUp: [] }),
      "nul",
    );
    expect([bytes.length, unsaid.length]).toEqual([0, 4]);
  });

  test.each([
    ["nul", ["--null", "-T"]],
    ["lines", ["-T"]],
  ] as const)("as %s is what tar takes", (form, options) => {
    const root = temporary();
    const tree = join(root, "tree");
    mkdirSync(join(tree, "docs"), { recursive: true });
    for (const name of ["docs/plain", "-rf", "#note", ";x", "two\nlines"])
      writeFileSync(join(tree, name), name);
    const some = makeManifest({
      target: "image",
      damage: damage.filter((_, at) => at < (form === "nul" ? 5 : 4)),
      givenUp: [],
    });
    const list = join(root, "list");
    writeFileSync(list, pathList(some, form).bytes);
    execFileSync("tar", ["-C", tree, "-cf", join(root, "out.tar"), ...options, list]);
    mkdirSync(join(root, "back"));
    execFileSync("tar", ["-C", join(root, "back"), "-xf", join(root, "out.tar")]);
    expect(readFileSync(join(root, "back", "-rf"), "utf8")).toBe("-rf");
    expect(readFileSync(join(root, "back", "docs/plain"), "utf8")).toBe("docs/plain");
  });
});
