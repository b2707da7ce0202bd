/** Locks: who holds an image, by flock and by the lock file that stands in for it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mapFile, nodeFiles } from "../../src/os/index.ts";
import { parseLocks } from "../../src/os/file-lock.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-lock-"));
  path = join(folder, "image");
  writeFileSync(path, "bytes");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("lockFile() lets readers share and refuses a writer beside them, until they close", () => {
  const one = nodeFiles.open(path, { lock: "shared" });
  const two = nodeFiles.open(path, { lock: "shared" });
  expect(() => nodeFiles.open(path, { access: "write", lock: "exclusive" })).toThrow(
    /EBUSY.*image/,
  );
  one.close();
  two.close();
  const writer = nodeFiles.open(path, { access: "write", lock: "exclusive" });
  expect(() => nodeFiles.open(path, { lock: "shared" })).toThrow(`Cannot lock ${path}`);
  writer.close();
  nodeFiles.open(path, { lock: "shared" }).close();
});

test("lockFile() is dropped by close() also where a mapping of the file lives on", () => {
  const file = nodeFiles.open(path, { access: "write", lock: "exclusive" });
  const mapping = mapFile(file, { writable: true });
  const view = mapping?.view({ offset: 0, length: 5 });
  mapping?.close();
  file.close();
  nodeFiles.open(path, { lock: "shared" }).close();
  expect(view?.[0]).toBe("b".charCodeAt(0));
});

/** A process that holds the lock until it is told to end. */
async function holder(environment: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const index = pathToFileURL(join(import.meta.dirname, "../../node_modules/koffi/index.js")).href;
  const script = `import koffi from ${JSON.stringify(index)}; import { openSync } from "node:fs";
    const flock = koffi.load(null).func("int flock(int, int)");
    process.stdout.write(String(flock(openSync(${JSON.stringify(path)}), 2)));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, ...environment },
  });
  await once(child.stdout, "data");
  return child;
}

test("lockFile() names the other process, and is free once that process is gone", async () => {
  const child = await holder({});
  const message = new RegExp(`EBUSY.*(process ${child.pid}|another process) has it open`);
  expect(() => nodeFiles.open(path, { lock: "shared" })).toThrow(message);
  child.kill("SIGKILL");
  await once(child, "exit");
  nodeFiles.open(path, { access: "write", lock: "exclusive" }).close();
});

test("parseLocks() finds the pid that holds a flock on an inode", () => {
  const text = `1: POSIX  ADVISORY  WRITE 11 08:01:131 0 EOF
2: FLOCK  ADVISORY  WRITE 4242 08:01:132 0 EOF
2: -> FLOCK  ADVISORY  WRITE 77 08:01:132 0 EOF
3: FLOCK  ADVISORY  READ -1 00:2f:133 0 EOF
nonsense`;
  expect(parseLocks(text, "132")).toBe(4242);
  expect(parseLocks(text, "131")).toBe(undefined);
  expect(parseLocks(text, "133")).toBe(undefined);
});

test("without flock a lock file stands in, and a dead holder's is taken over", async () => {
  const { lockByFile } = await import("../../src/os/file-lock.ts");
  const drop = lockByFile(path, "exclusive");
  expect(() => lockByFile(path, "exclusive")).toThrow(/EBUSY.*this process/);
  expect(() => lockByFile(path, "shared")).toThrow(/EBUSY/);
  drop();
  expect(existsSync(`${path}.lock`)).toBe(false);
  writeFileSync(`${path}.lock`, "999999999\n");
  lockByFile(path, "exclusive")();
});
