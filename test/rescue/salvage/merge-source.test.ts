/** Merging partial copies of one source (S27), and refusing those that are not. */
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { openCopies, salvage } from "../../../src/rescue/index.ts";
import { createCrashFiles, type CrashFiles } from "../../../src/testing/index.ts";
import { failingSource, type FailingOptions } from "./support/failing-source.ts";

const SIZE = 1024 * 1024;
const bytes = createPrng(6).bytes(SIZE);
const A = { offset: 65_536, length: 4096 };
const B = { offset: 262_144, length: 512 };
const C = { offset: 524_288, length: 8192 };

async function copyTo(files: CrashFiles, out: string, options: FailingOptions) {
  await salvage(failingSource(bytes, options), out, { files, hash: true });
}

function change(files: CrashFiles, path: string, offset: number): void {
  const file = files.open(path, { access: "write" });
  file.writeSync(Uint8Array.of(1, 2, 3), offset);
  file.close();
}

describe("openCopies()", () => {
  test("makes one copy that lacks only what all lack (S27)", async () => {
    const files = createCrashFiles();
    await copyTo(files, "/d/one", { bad: [A, B] });
    await copyTo(files, "/d/two", { bad: [B, C] });
    const copies = await openCopies(["/d/one", "/d/two"], { files });
    const result = await salvage(copies, "/d/out", { files, domain: copies.domain });
    copies.close();
    expect(result).toMatchObject({ salvaged: SIZE - 512, bad: 512, left: 0, holes: [B] });
    const out = files.open("/d/out");
    const all = new Uint8Array(SIZE);
    out.readSync(all, 0);
    expect(Buffer.compare(all, Uint8Array.from(bytes).fill(0, B.offset, B.offset + 512))).toBe(0);
    out.close();
    // The source itself goes on where the merge ended.
    const source = failingSource(bytes);
    const more = await salvage(source, "/d/out", { files, retries: 1 });
    expect(more).toMatchObject({ resumed: SIZE - 512, salvaged: SIZE });
    expect(source.asked).toEqual([B]);
  });

  test("leaves untried what no copy tried", async () => {
    const files = createCrashFiles();
    for (const name of ["/d/one", "/d/two"])
      await salvage(failingSource(bytes), name, {
        files,
        domain: [{ offset: 0, length: 4096 }],
      });
    const copies = await openCopies(["/d/one", "/d/two"], { files });
    const result = await salvage(copies, "/d/out", { files, domain: copies.domain });
    expect(result).toMatchObject({ salvaged: 4096, bad: 0, outside: SIZE - 4096 });
    copies.close();
  });

  test("refuses copies of two sources of equal size", async () => {
    const files = createCrashFiles();
    await copyTo(files, "/d/one", {});
    await salvage(failingSource(createPrng(7).bytes(SIZE)), "/d/two", { files });
    await expect(openCopies(["/d/one", "/d/two"], { files })).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
  });

  test("refuses a copy that was changed, by its hashes", async () => {
    const files = createCrashFiles();
    await copyTo(files, "/d/one", {});
    await copyTo(files, "/d/two", {});
    change(files, "/d/two", 4096);
    await expect(openCopies(["/d/one", "/d/two"], { files })).rejects.toThrow(/not those that map/);
  });

  test("refuses a copy that is not there, and one that something else took the place of", async () => {
    const files = createCrashFiles();
    for (const name of ["/d/one", "/d/two"]) await salvage(failingSource(bytes), name, { files });
    await expect(openCopies(["/d/one", "/d/none"], { files })).rejects.toThrow(
      expect.objectContaining({ code: "ENOENT", path: "/d/none" }),
    );
    const file = files.open("/d/two", { access: "write" });
    file.writeSync(createPrng(8).bytes(SIZE), 0);
    file.close();
    await expect(openCopies(["/d/one", "/d/two"], { files })).rejects.toThrow(/not those that map/);
  });

  test("refuses bytes that two copies give differently, and says where", async () => {
    const files = createCrashFiles();
    for (const name of ["/d/one", "/d/two"]) await salvage(failingSource(bytes), name, { files });
    change(files, "/d/two", 700_001);
    const copies = await openCopies(["/d/one", "/d/two"], { files });
    await expect(salvage(copies, "/d/out", { files, domain: copies.domain })).rejects.toThrow(
      /differs from another at byte 70000[1-3]/,
    );
    copies.close();
  });

  test("refuses fewer than two, and one without its identity", async () => {
    const files = createCrashFiles();
    await copyTo(files, "/d/one", {});
    await expect(openCopies(["/d/one"], { files })).rejects.toThrow(RangeError);
    files.remove("/d/one.map.theriac");
    await expect(openCopies(["/d/one", "/d/one"], { files })).rejects.toThrow(/nothing says/);
  });
});
