/** followed-file: a log that grows, is cut short, and is replaced while it is read. */
import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FollowedFile } from "../../../src/rescue/index.ts";
import { kernelLines } from "../../../src/rescue/watch/followed-file.ts";
import { removeTemporary, temporary } from "../support/tree.ts";

afterAll(removeTemporary);

function follow(text = "old\n"): { readonly path: string; readonly file: FollowedFile } {
  const path = join(temporary(), "kern.log");
  writeFileSync(path, text);
  return { path, file: new FollowedFile(path) };
}

describe("FollowedFile", () => {
  test("read() gives what was added since, and not what was there", () => {
    const { path, file } = follow();
    expect(file.read()).toEqual({ text: "", lost: false });
    appendFileSync(path, "one\ntw");
    expect(file.read().text).toBe("one\ntw");
    appendFileSync(path, "o\n");
    expect(file.read().text).toBe("o\n");
    file.close();
  });

  test("read() goes on in the new file where a log was rotated, and loses no line", () => {
    const { path, file } = follow();
    appendFileSync(path, "last of the old\n");
    renameSync(path, `${path}.1`);
    writeFileSync(path, "first of the new\n");
    expect(file.read()).toEqual({ text: "last of the old\nfirst of the new\n", lost: false });
    file.close();
  });

  test("read() waits for a file that is away, and goes on when it is back", () => {
    const { path, file } = follow();
    rmSync(path);
    expect(file.read().text).toBe("");
    expect(file.read().text).toBe("");
    writeFileSync(path, "back\n");
    expect(file.read().text).toBe("back\n");
    file.close();
  });

  test("read() begins again where the file was cut short, and says that lines may be lost", () => {
    const { path, file } = follow("a long line that is there\n");
    truncateSync(path, 0);
    appendFileSync(path, "new\n");
    expect(file.read()).toEqual({ text: "new\n", lost: true });
    file.close();
  });

  test("read() takes a letter that is written in two pieces", () => {
    const { path, file } = follow();
    const letter = Buffer.from("é");
    appendFileSync(path, letter.subarray(0, 1));
    const first = file.read().text;
    appendFileSync(path, letter.subarray(1));
    expect(first + file.read().text).toBe("é");
    file.close();
  });

  test("FollowedFile names a log that is not there, or is a directory", () => {
    expect(() => new FollowedFile("/no/such/log")).toThrow(/ENOENT: Cannot follow log \/no\/such/);
    expect(() => new FollowedFile(temporary())).toThrow(/EISDIR/);
  });
});

describe("kernelLines()", () => {
  test("kernelLines() takes the kernel's records, without their dictionaries", () => {
    const text =
      "3,1000,5000000,-;I/O error, dev sda, sector 8 op 0x0:(READ)\n SUBSYSTEM=block\n DEVICE=b8:0\n";
    expect(kernelLines(text)).toBe("I/O error, dev sda, sector 8 op 0x0:(READ)\n");
  });

  test("kernelLines() does not believe a record that a program wrote", () => {
    expect(kernelLines("12,1001,5000001,-;I/O error, dev sda, sector 8\n")).toBe("");
  });
});
