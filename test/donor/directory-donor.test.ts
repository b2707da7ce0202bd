/** Directory donors: what they offer, and that no path leads out of them. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { components, openDirectoryDonor } from "../../src/donor/index.ts";

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "theriac-donor-"));
  mkdirSync(join(root, "tree/inside"), { recursive: true });
  mkdirSync(join(root, "outside"));
  writeFileSync(join(root, "outside/secret"), "secret");
  writeFileSync(join(root, "tree/inside/file"), "content");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function read(path: string): Promise<string | undefined> {
  const file = await openDirectoryDonor(join(root, "tree")).file(path);
  if (file === undefined) return undefined;
  const bytes = new Uint8Array(file.size);
  await file.read(bytes, 0);
  await file.close();
  return Buffer.from(bytes).toString();
}

describe("openDirectoryDonor()", () => {
  test("gives the file of an absolute path, its size and its time", async () => {
    expect(await read("/inside/file")).toBe("content");
  });

  test.each([
    "/../outside/secret",
    "/inside/../../outside/secret",
    "inside/file",
    "//inside/file",
    "/inside/./file",
    "/",
    "",
    "/inside",
    "/inside/file/x",
    "/absent",
    "/inside\\x2ffile",
    "/a\\x00b",
  ])("offers nothing for the path %j", async (path) => {
    expect(await read(path)).toBeUndefined();
  });

  test("follows no link: neither a last nor a middle one, not even inside the tree", async () => {
    symlinkSync(join(root, "outside/secret"), join(root, "tree/link"));
    symlinkSync(join(root, "outside"), join(root, "tree/directory"));
    symlinkSync("inside/file", join(root, "tree/within"));
    for (const path of ["/link", "/directory/secret", "/within"])
      expect(await read(path)).toBeUndefined();
  });

  test("may itself be reached through a link", async () => {
    symlinkSync(join(root, "tree"), join(root, "alias"));
    const file = await openDirectoryDonor(join(root, "alias")).file("/inside/file");
    expect(file?.size).toBe(7);
    await file?.close();
  });

  test("does not wait for a pipe", async () => {
    execFileSync("mkfifo", [join(root, "tree/pipe")]);
    expect(await read("/pipe")).toBeUndefined();
  });

  test("finds names that are no UTF-8, and names with a backslash", async () => {
    writeFileSync(
      Buffer.concat([Buffer.from(join(root, "tree/")), Buffer.from([0x61, 0xff, 0x62])]),
      "bytes",
    );
    writeFileSync(join(root, "tree/back\\slash"), "slash");
    expect(await read("/a\\xffb")).toBe("bytes");
    expect(await read("/back\\\\slash")).toBe("slash");
  });

  test("tells bytes behind the end as missing", async () => {
    const file = await openDirectoryDonor(join(root, "tree")).file("/inside/file");
    expect(await file?.read(new Uint8Array(20), 4)).toEqual({
      missing: [{ offset: 7, length: 17, state: "unread" }],
    });
    await file?.close();
  });

  test("refuses what is no directory", () => {
    expect(() => openDirectoryDonor(join(root, "tree/inside/file"))).toThrow(
      expect.objectContaining({ code: "ENOTDIR" }),
    );
    expect(() => openDirectoryDonor(join(root, "absent"))).toThrow(
      expect.objectContaining({ code: "ENOENT" }),
    );
  });
});

describe("components()", () => {
  test("gives the bytes of each name", () => {
    expect(components("/a/b\\xff")?.map((name) => Array.from(name))).toEqual([
      [0x61],
      [0x62, 0xff],
    ]);
  });
});
