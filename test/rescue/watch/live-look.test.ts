/** live-look: who holds a lease on a file, as the kernel lists it. */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isLeased, LiveLook } from "../../../src/rescue/watch/live-look.ts";
import { removeTemporary, temporary } from "../support/tree.ts";

afterAll(removeTemporary);

function files(): { readonly path: string; readonly locks: string; readonly inode: bigint } {
  const folder = temporary();
  const path = join(folder, "book");
  writeFileSync(path, "x");
  return { path, locks: join(folder, "locks"), inode: statSync(path, { bigint: true }).ino };
}

describe("isLeased()", () => {
  test("isLeased() finds a lease on the file, and takes no other lock for one", () => {
    const { path, locks, inode } = files();
    writeFileSync(locks, `1: FLOCK  ADVISORY  WRITE 10 08:01:${inode} 0 EOF\n`);
    expect(isLeased(path, locks)).toBe(false);
    writeFileSync(locks, `1: LEASE  ACTIVE    WRITE 10 08:01:${inode} 0 EOF\n`);
    expect(isLeased(path, locks)).toBe(true);
    writeFileSync(locks, `1: LEASE  ACTIVE    WRITE 10 08:01:${inode + 1n} 0 EOF\n`);
    expect(isLeased(path, locks)).toBe(false);
  });

  test("isLeased() knows of none where nobody tells", () => {
    const { path, locks } = files();
    expect(isLeased(path, locks)).toBe(false);
  });
});

describe("LiveLook", () => {
  test("look() is no business of a file that has its own list", async () => {
    const { path } = files();
    writeFileSync(`${path}.theriac`, "");
    expect(await new LiveLook(path).look()).toBeUndefined();
  });
});
