/** writecache on files: stacks that are opened by their text, refused with nothing written, for reading only, without recovery, and large. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStack } from "../../../../src/mapper/index.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-writecache-"));
  writeFileSync(join(folder, "origin.img"), Buffer.alloc(32_768, 0xee));
  writeFileSync(join(folder, "cache.img"), Buffer.alloc(40_960));
});
afterEach(() => rmSync(folder, { recursive: true }));

const IMAGES = "device origin origin.img\ndevice cache cache.img\n";

function stack(args: string, devices: string = IMAGES): string {
  const path = join(folder, "s.stack");
  writeFileSync(path, `${devices}wc: 0 64 writecache ${args}\n`);
  return path;
}

const cacheFile = (): Buffer => readFileSync(join(folder, "cache.img"));

describe("writecache on files", () => {
  test("keeps what was written, and goes on with it", async () => {
    const path = stack("s origin cache 4096 4 high_watermark 100 low_watermark 100");
    const first = await openStack(path, { access: "write" });
    await first.device.write(Buffer.alloc(10_000, 7), 3000);
    await first.device.close();
    const second = await openStack(path);
    const bytes = Buffer.alloc(32_768);
    expect((await second.device.read(bytes, 0)).missing).toEqual([]);
    expect([bytes[2999], bytes[3000], bytes[12_999], bytes[13_000]]).toEqual([0xee, 7, 7, 0xee]);
    expect(readFileSync(join(folder, "origin.img")).every((byte) => byte === 0xee)).toBe(true);
    await second.device.close();
  });

  test("opened for reading it refuses writes, and changes no file", async () => {
    const path = stack("s origin cache 4096 0");
    const before = [readdirSync(folder), cacheFile()];
    const { device } = await openStack(path);
    expect(() => device.write(new Uint8Array(1), 0)).toThrow("EACCES");
    await device.read(new Uint8Array(100), 0);
    await device.flush();
    await device.close();
    expect([readdirSync(folder), cacheFile()]).toEqual(before);
  });

  test("what is no cache of this row is EBADMSG, with file and line; no file changes and every lock ends", async () => {
    const path = stack("s origin cache 4096 0");
    const { device } = await openStack(path, { access: "write" });
    await device.write(new Uint8Array(4096), 0);
    await device.close();
    const before = cacheFile();
    stack("s origin cache 512 0");
    for (let turn = 0; turn < 2; turn += 1)
      await expect(async () => await openStack(path, { access: "write" })).rejects.toMatchObject({
        code: "EBADMSG",
        message: expect.stringContaining(
          "s.stack: line 3: writecache: Block size does not match superblock: want 4096: got 512",
        ) as string,
      });
    expect(Buffer.compare(cacheFile(), before)).toBe(0);
  });

  test("a new cache of more blocks than a table is made for is refused before anything is read into memory", async () => {
    truncateSync(join(folder, "cache.img"), 2 ** 40);
    await expect(
      async () => await openStack(stack("s origin cache 512 0"), { access: "write" }),
    ).rejects.toThrow("Cannot allocate memory: want a cache of at most 67108864 blocks");
  });

  test("over a window it caches, and refuses recovery before any byte moves", async () => {
    const devices = "window origin 0 64 origin.img\ndevice cache cache.img\n";
    const path = stack("s origin cache 4096 0", devices);
    const { device } = await openStack(path, { access: "write" });
    expect(device.capabilities).toMatchObject({ recovers: false });
    await device.write(Buffer.alloc(5000, 7), 0);
    await expect(
      async () => await device.write(new Uint8Array(9), 0, "recovery"),
    ).rejects.toMatchObject({ code: "EOPNOTSUPP" });
    const bytes = Buffer.alloc(5001);
    await device.read(bytes, 0);
    expect([bytes[0], bytes[4999], bytes[5000]]).toEqual([7, 7, 0xee]);
    await device.close();
  });
});
