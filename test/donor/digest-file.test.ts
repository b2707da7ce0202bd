/** Digests: what is written for a tree, what is read again, and what is refused. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  BLOCK_HASH_BYTES,
  DIGEST_NAME,
  digestBlockSize,
  digestTree,
  findDigests,
  readDigest,
  type DigestResult,
  type FileDigest,
} from "../../src/donor/index.ts";

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "theriac-digest-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function take(tree: string): Promise<{ text: string; result: DigestResult }> {
  let text = "";
  const generator = digestTree(tree);
  let next = await generator.next();
  for (; next.done !== true; next = await generator.next()) text += next.value;
  return { text, result: next.value };
}

async function parse(text: string): Promise<readonly FileDigest[]> {
  const name = join(root, "digest.json");
  writeFileSync(name, text);
  const files: FileDigest[] = [];
  for await (const file of readDigest(name)) files.push(file);
  return files;
}

describe("digestTree()", () => {
  test("makes one JSON document with every regular file, sorted, and no link", async () => {
    mkdirSync(join(root, "tree/sub"), { recursive: true });
    const big = Uint8Array.from({ length: 150_000 }, (_, index) => index % 251);
    writeFileSync(join(root, "tree/b"), big);
    writeFileSync(join(root, "tree/a"), "");
    writeFileSync(join(root, "tree/sub/ü"), "text");
    writeFileSync(join(root, "tree", DIGEST_NAME), "old");
    symlinkSync("b", join(root, "tree/link"));
    const { text, result } = await take(join(root, "tree"));
    expect(result).toEqual({ files: 3, bytes: 150_004, skipped: 0 });
    expect(JSON.parse(text)).toMatchObject({ schema: "theriac.digest/1" });
    const files = await parse(text);
    expect(files.map(({ path }) => path)).toEqual(["/a", "/b", "/sub/ü"]);
    expect(files[1]).toMatchObject({
      size: 150_000,
      blockSize: 65_536,
      sha256: createHash("sha256").update(big).digest("hex"),
    });
    expect(files[1]?.blocks).toHaveLength(3 * BLOCK_HASH_BYTES);
  });

  test("writes names that are no UTF-8 as file maps do", async () => {
    mkdirSync(join(root, "tree"));
    writeFileSync(
      Buffer.concat([Buffer.from(join(root, "tree/")), Buffer.from([0x61, 0xff])]),
      "x",
    );
    const { text } = await take(join(root, "tree"));
    expect((await parse(text))[0]?.path).toBe("/a\\xff");
  });

  test("an empty tree has an empty digest", async () => {
    mkdirSync(join(root, "tree"));
    expect(await parse((await take(join(root, "tree"))).text)).toEqual([]);
  });
});

describe("digestBlockSize()", () => {
  test("grows with the file, so that no line does", () => {
    expect(digestBlockSize(0)).toBe(65_536);
    expect(digestBlockSize(2 ** 32)).toBe(65_536);
    expect(digestBlockSize(2 ** 32 + 1)).toBe(131_072);
    expect(2 ** 50 / digestBlockSize(2 ** 50)).toBeLessThanOrEqual(65_536);
  });
});

describe("readDigest()", () => {
  const HEAD = '{"schema":"theriac.digest/1","algorithm":"sha256","blockBytes":16,"files":[';
  const FILE = {
    path: "/f",
    size: 1,
    modifiedNs: "5",
    sha256: "a".repeat(64),
    blockSize: 65_536,
    blocks: Buffer.alloc(16).toString("base64"),
  };

  test("reads the same document in the layout of --json", async () => {
    const text = `{\n  "schema": "theriac.digest/1",\n  "files": [\n    ${JSON.stringify(FILE)}\n  ]\n}\n`;
    expect(await parse(text)).toHaveLength(1);
  });

  test.each([
    ["another document", '{"schema":"theriac.plan/1"}\n'],
    ["nothing", ""],
    ["a cut off one", `${HEAD}\n${JSON.stringify(FILE)},\n`],
    ["a cut off line", `${HEAD}\n${JSON.stringify(FILE).slice(0, 40)}`],
    ["a relative path", `${HEAD}\n${JSON.stringify({ ...FILE, path: "f" })}\n]}\n`],
    ["a negative size", `${HEAD}\n${JSON.stringify({ ...FILE, size: -1 })}\n]}\n`],
    ["a number as time", `${HEAD}\n${JSON.stringify({ ...FILE, modifiedNs: 5 })}\n]}\n`],
    ["blocks of another count", `${HEAD}\n${JSON.stringify({ ...FILE, blocks: "" })}\n]}\n`],
    ["a block size of 0", `${HEAD}\n${JSON.stringify({ ...FILE, blockSize: 0 })}\n]}\n`],
    ["a line without end", `${HEAD}\n{"path":"${"x".repeat(5_000_000)}`],
  ])("refuses %s", async (_, text) => {
    await expect(parse(text)).rejects.toThrow(expect.objectContaining({ code: "EBADMSG" }));
  });

  test("findDigests() keeps only what is wanted", async () => {
    const name = join(root, "d.json");
    writeFileSync(
      name,
      `${HEAD}\n${JSON.stringify(FILE)},\n${JSON.stringify({ ...FILE, path: "/g" })}\n]}\n`,
    );
    expect([...(await findDigests(name, new Set(["/g", "/h"]))).keys()]).toEqual(["/g"]);
  });
});
