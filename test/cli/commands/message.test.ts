/** theriac message: dm-dust's messages through a stack, kept from one command to the next. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();
let count = 0;
let stack = "";
const say = (...words: string[]) => theriac(["message", stack, "t", "0", ...words]);

beforeEach(() => {
  count += 1;
  stack = join(place.folder, `d${count}.stack`);
  writeFileSync(stack, `device a ${place.image}\nt: 0 1024 dust a 8 512\n`);
});

describe("theriac message", () => {
  test("R4: bad blocks last from one command to the next, until something is written over them", async () => {
    expect(await say("addbadblock", "60")).toMatchObject({
      code: 0,
      stdout: "",
      stderr: "dust_add_block: badblock added at block 60 with write fail count 0\n",
    });
    expect((await theriacJson(["list", stack])).document["ranges"]).toEqual([]);
    await say("enable");
    expect((await say("countbadblocks")).stdout).toBe("countbadblocks: 1 badblock(s) found\n");
    const bad = { offset: (60 - 8) * 512, length: 512, state: "poisoned" };
    expect((await theriacJson(["list", stack])).document["ranges"]).toEqual([bad]);
    expect((await theriac(["scrub", stack])).code).toBe(1);
    expect((await theriac(["table", stack])).stdout).toContain(
      `    status: ${place.image} fail_read_on_bad_block verbose\n`,
    );
    const kept = readdirSync(place.folder).find((name) => name.startsWith(`d${count}.stack.`));
    expect(kept).toBe(`d${count}.stack.t-0.dust`);
    // a write over it
    const log = join(place.folder, "heal.log");
    const { makeLog } = await import("../support/made-log.ts");
    await makeLog(log, [{ offset: bad.offset, data: new Uint8Array(512).fill(7) }]);
    expect((await theriac(["replay", log, stack])).code).toBe(0);
    expect((await say("listbadblocks")).stdout).toBe("No blocks in badblocklist\n");
    expect((await theriacJson(["list", stack])).document["ranges"]).toEqual([]);
  });

  test("prints a document", async () => {
    const { code, document } = await theriacJson(["message", stack, "t", "0", "queryblock 9"]);
    expect({ code, ...document }).toEqual({
      code: 0,
      schema: "theriac.message/1",
      target: stack,
      table: "t",
      sector: 0,
      message: ["queryblock", "9"],
      reply: "dust_query_block: block 9 not found in badblocklist",
      log: [],
    });
  });

  test.each([
    [["message", "STACK", "t", "0", "wipe"], 3, "unrecognized message 'wipe' received"],
    [["message", "STACK", "u", "0", "enable"], 3, 'as t: got "u"'],
    [["message", "STACK", "t", "1024", "enable"], 3, "Target message sector outside device"],
    [["message", "STACK", "t", "x", "enable"], 2, 'want a sector from 0 up: got "x"'],
    [["message", "STACK", "t", "0", " "], 3, "Empty message"],
  ])("%j ends with %i: %s", async (args, code, text) => {
    const run = await theriac(args.map((word) => (word === "STACK" ? stack : word)));
    expect(run.code).toBe(code);
    expect(run.stderr).toContain(text);
    expect(readdirSync(place.folder).filter((name) => name.startsWith(`d${count}.stack.`))).toEqual(
      [],
    );
  });

  test("a target that takes no messages says so", async () => {
    writeFileSync(stack, `device a ${place.image}\nt: 0 8 linear a 0\n`);
    const run = await say("enable");
    expect(run).toMatchObject({ code: 3 });
    expect(run.stderr).toContain("Target type does not support messages: got linear");
  });

  test("a list that was kept for other blocks is refused, and stays", async () => {
    await say("addbadblock", "60");
    writeFileSync(stack, `device a ${place.image}\nt: 0 1024 dust a 8 1024\n`);
    const run = await theriac(["list", stack]);
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(
      'line 2: dust: Cannot use the bad blocks that were kept: line 1: want "# dm-dust, blocks of 1024 bytes"',
    );
  });
});
