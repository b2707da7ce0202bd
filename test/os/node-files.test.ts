/** The machine's files: reads around ends and limits, refusals, and errors with their file. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AssertionError, isPromise, StorageError } from "../../src/base/index.ts";
import { hostError } from "../../src/os/host-error.ts";
import { nodeFiles } from "../../src/os/index.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-os-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function failure(call: () => unknown): { code: string; path: string | undefined } {
  try {
    call();
  } catch (error) {
    if (error instanceof StorageError) return { code: error.code, path: error.path };
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("nodeFiles", () => {
  test("open() creates, writes, syncs, and reads back", () => {
    const path = join(folder, "a");
    const file = nodeFiles.open(path, { access: "create" });
    file.writeSync(Uint8Array.of(1, 2, 3), 5);
    file.sync();
    nodeFiles.syncDirectoryOf(path);
    const into = new Uint8Array(10);
    expect(file.readSync(into, 2)).toBe(6);
    expect([...into.subarray(0, 6)]).toEqual([0, 0, 0, 1, 2, 3]);
    file.truncate(4);
    expect(file.size()).toBe(4);
    file.close();
    file.close();
    expect(() => file.size()).toThrow(AssertionError);
  });

  test("read() answers small reads at once and large ones later, with the same bytes", async () => {
    const path = join(folder, "a");
    const content = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
    writeFileSync(path, content);
    const file = nodeFiles.open(path);
    const small = new Uint8Array(1000);
    expect(file.read(small, 100)).toBe(1000);
    expect(small).toEqual(content.subarray(100, 1100));
    const large = new Uint8Array(299_000);
    const answer = file.read(large, 2000);
    expect(isPromise(answer)).toBe(true);
    expect(await answer).toBe(298_000);
    expect(large.subarray(0, 298_000)).toEqual(content.subarray(2000));
    file.close();
  });

  test("open() refuses what is no file, without waiting, and names it", () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    expect(failure(() => nodeFiles.open(pipe))).toEqual({ code: "EOPNOTSUPP", path: pipe });
    expect(failure(() => nodeFiles.open("/dev/null"))).toEqual({
      code: "EOPNOTSUPP",
      path: "/dev/null",
    });
    expect(failure(() => nodeFiles.open(folder)).code).toBe("EISDIR");
    const gone = join(folder, "gone");
    expect(failure(() => nodeFiles.open(gone))).toEqual({ code: "ENOENT", path: gone });
    writeFileSync(gone, "");
    expect(failure(() => nodeFiles.open(gone, { access: "create" })).code).toBe("EEXIST");
    expect(failure(() => nodeFiles.open(join(gone, "x"))).code).toBe("ENOTDIR");
    symlinkSync("loop", join(folder, "loop"));
    expect(failure(() => nodeFiles.open(join(folder, "loop"))).code).toBe("ENOENT");
  });

  test("a device without a driver, or a socket, is no missing data, and every failure names its file", async () => {
    const path = join(folder, "socket");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(failure(() => nodeFiles.open(path))).toEqual({ code: "ENOENT", path });
    await new Promise((resolve) => server.close(resolve));
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), {
      code: "ENOSPC",
    });
    expect(hostError(full, "write", "/mnt/x.img").message).toBe(
      'ENOSPC: no space left on device, write "/mnt/x.img"',
    );
  });

  test("info(), rename() and remove() do what they say", () => {
    const path = join(folder, "a");
    expect(nodeFiles.info(path)).toBe(undefined);
    writeFileSync(path, "12345");
    expect(nodeFiles.info(path)).toMatchObject({ kind: "file", size: 5 });
    expect(nodeFiles.info(folder)).toMatchObject({ kind: "directory" });
    nodeFiles.rename(path, join(folder, "b"));
    expect(nodeFiles.info(path)).toBe(undefined);
    nodeFiles.remove(join(folder, "b"));
    nodeFiles.remove(join(folder, "b"));
    expect(nodeFiles.info(join(folder, "b"))).toBe(undefined);
  });
});
