/** theriac replay: a log written onto an image, and a stack that logs. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { makeLog } from "../support/made-log.ts";
import { R7, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();
let log = "";

beforeEach(async () => {
  log = `${place.image}.log`;
  await makeLog(log, [
    { offset: 0, data: new Uint8Array(512).fill(1) },
    { offset: 4096, data: new Uint8Array(1024).fill(2) },
  ]);
});

const at = (offset: number): number | undefined => readFileSync(place.image)[offset];

describe("theriac replay", () => {
  test("writes what the log says, and tells how much", async () => {
    const { code, stdout } = await theriac(["replay", log, place.image]);
    expect(code).toBe(0);
    expect(stdout).toContain("5 of 5 entries replayed: 1.5 KiB written, 0 B discarded");
    expect(stdout).toContain("last mark dm-log-writes-end\n");
    expect(stdout).toMatch(R7);
    expect([at(0), at(4096), at(5119), at(5120)]).toEqual([1, 2, 2, 0]);
  });

  test("--limit and --end-mark end it", async () => {
    const { document } = await theriacJson(["replay", log, place.image, "--limit", "2"]);
    expect(document).toMatchObject({ schema: "theriac.replay/1", entries: 2, written: 512 });
    expect([at(0), at(4096)]).toEqual([1, 0]);
    const end = ["--end-mark", "dm-log-writes-end"];
    expect((await theriacJson(["replay", log, place.image, ...end])).document).toMatchObject({
      entries: 5,
      lastMark: "dm-log-writes-end",
    });
  });

  test("--list prints the entries and writes nothing", async () => {
    expect(await theriac(["replay", log, "--list"])).toMatchObject({
      code: 0,
      stdout: `0 write 0 512\n1 flush 0 0\n2 write 4096 1024\n3 flush 0 0\n4 mark "dm-log-writes-end"\n`,
    });
    const { document } = await theriacJson(["replay", log, "--list", "--limit", "1"]);
    expect(document["list"]).toEqual([{ index: 0, offset: 0, length: 512, flags: [] }]);
  });

  test.each([
    [[], 2, "want either a target, or --list"],
    [["IMAGE", "--list"], 2, "want either a target, or --list"],
    [["IMAGE", "--limit", "-1"], 2, "Want a whole number from 0 up"],
    [["IMAGE", "--end-mark", "x"], 3, 'want a mark that it has, as "dm-log-writes-end": got "x"'],
    [["none.img"], 3, "ENOENT"],
  ])("%j ends with %i: %s", async (args, code, text) => {
    const run = await theriac([
      "replay",
      log,
      ...args.map((word) => (word === "IMAGE" ? place.image : word)),
    ]);
    expect(run.code).toBe(code);
    expect(run.stderr).toContain(text);
    expect(at(0)).toBe(0);
  });

  test("what is no log, is torn, or ends past the target ends with 3, and nothing is written", async () => {
    const bytes = readFileSync(log);
    const spoiled: readonly (readonly [number, number, string])[] = [
      [0, 0, "want the magic number"],
      [16, 6, "entry 5 of 6"],
      [512 + 9, 255, "entry 0 of 5, at 512: want its 65281 sectors inside"],
      [1536 + 512 + 2, 9, "entry 2 of 5"],
    ];
    for (const [offset, value, text] of spoiled) {
      const copy = Buffer.from(bytes);
      copy[offset] = value;
      writeFileSync(log, copy);
      const run = await theriac(["replay", log, place.image]);
      expect(run.code).toBe(3);
      expect(run.stderr).toContain(text);
      expect(at(0)).toBe(0);
    }
  });

  test("a log and its target are not one image", async () => {
    expect((await theriac(["replay", log, log])).code).toBe(4);
  });

  test("R3: a stack that logs: what was written through it is replayed onto another image", async () => {
    const stack = join(place.folder, "logged.stack");
    const second = `${place.image}-2`;
    writeFileSync(`${place.image}.own`, Buffer.alloc(1024 * 1024));
    writeFileSync(
      stack,
      `device a ${place.image}\ndevice l ${place.image}.own\nt: 0 2048 log-writes a l\n`,
    );
    await theriac(["create", second, "--size", "1M"]);
    expect((await theriac(["list", stack])).code).toBe(0);
    expect(readFileSync(`${place.image}.own`).every((byte) => byte === 0)).toBe(true);
    expect((await theriac(["replay", log, stack])).code).toBe(0);
    await theriac(["message", stack, "t", "0", "mark", "done"]);
    expect((await theriac(["replay", `${place.image}.own`, second])).code).toBe(0);
    expect(Buffer.compare(readFileSync(place.image), readFileSync(second))).toBe(0);
    expect((await theriac(["replay", `${place.image}.own`, "--list"])).stdout).toContain(
      'mark "done"',
    );
  });

  test("a stack that logs is an image for inject, lists and scrub", async () => {
    const stack = join(place.folder, "faulty.stack");
    const own = `${place.image}.own`;
    const list = `${place.image}.list`;
    writeFileSync(own, Buffer.alloc(65_536));
    writeFileSync(stack, `device a ${place.image}\ndevice l ${own}\nt: 0 2048 log-writes a l\n`);
    writeFileSync(list, "16 2\n");
    const listed = await theriacJson(["list", stack, "--poison", list]);
    expect(listed.document["ranges"]).toEqual([{ offset: 8192, length: 1024, state: "poisoned" }]);
    await theriac(["inject", stack, "--at", "4K", "--length", "512", "--latent"]);
    expect((await theriac(["scrub", stack])).code).toBe(1);
    const { document } = await theriacJson(["list", stack]);
    expect(document["ranges"]).toEqual([{ offset: 4096, length: 512, state: "poisoned" }]);
    expect(readFileSync(own).every((byte) => byte === 0)).toBe(true);
  });
});
