/** The NBD server under nbdfuse: any program reads a file with bad sectors; GNU ddrescue maps exactly them. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { client, makeServed, missingPrograms, type ServedImage } from "./support/nbd-served.ts";

const SIZE = 1024 * 1024;
const missing = missingPrograms("nbdfuse", "ddrescue", "fusermount3", "mke2fs", "e2fsck");
if (!existsSync("/dev/fuse")) missing.push("/dev/fuse");
const reason = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} missing)`;

describe.skipIf(missing.length > 0)(`NBD through nbdfuse${reason}`, () => {
  let served: ServedImage;
  let fuse: ChildProcess | undefined;
  let file = "";
  beforeAll(async () => {
    served = makeServed(SIZE);
    served.theriac("inject", served.image, "--at", "51200", "--length", "512");
    await served.serve();
    const folder = join(served.folder, "mnt");
    mkdirSync(folder);
    file = join(folder, "nbd");
    fuse = spawn("nbdfuse", [file, served.uri], { stdio: "inherit" });
    while (!existsSync(file) && fuse.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20));
  });
  afterAll(async () => {
    client("fusermount3", "-u", join(served.folder, "mnt"));
    fuse?.kill();
    await served.remove();
  });

  test("ddrescue -d -b 512 loses exactly the bad sector", () => {
    const [out, map] = [join(served.folder, "out"), join(served.folder, "map")];
    const run = client("ddrescue", "-d", "-b", "512", file, out, map);
    expect(run.status).toBe(0);
    expect(readFileSync(map, "utf8")).toMatch(/^0x0000C800 +0x00000200 +-$/m);
    const rescued = readFileSync(out);
    expect(rescued.subarray(0, 51200).equals(served.bytes.subarray(0, 51200))).toBe(true);
    expect(rescued.subarray(51712).equals(served.bytes.subarray(51712))).toBe(true);
  });

  test("mke2fs makes a file system over the bad sector, which its writes heal", () => {
    // nbdfuse makes a TRIM of a punched hole, which promises no zeros, and mke2fs takes it for zeros
    const options = ["-q", "-F", "-b", "1024", "-N", "512", "-E", "nodiscard"];
    const made = client("mke2fs", ...options, file);
    expect(made).toEqual({ status: 0, out: "" });
    expect(client("e2fsck", "-fn", file).status).toBe(0);
    expect(served.theriac("list", served.image, "--format", "badblocks").stdout).toBe("");
  });
});
