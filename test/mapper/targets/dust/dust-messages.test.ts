/** dustMessage: the replies, log lines and refusals of drivers/md/dm-dust.c, word for word. */
import { describe, expect, test } from "vitest";
import { DustBlocks } from "../../../../src/mapper/targets/dust/dust-blocks.ts";
import { dustMessage } from "../../../../src/mapper/targets/dust/dust-messages.ts";

function after(...before: string[]): (text: string) => ReturnType<typeof dustMessage> {
  const blocks = new DustBlocks(4096);
  const say = (text: string) =>
    dustMessage({ words: text.split(" "), blocks, deviceSize: 100 * 4096 });
  for (const text of before) say(text);
  return say;
}

describe("dustMessage()", () => {
  test.each([
    [[], "countbadblocks", "countbadblocks: 0 badblock(s) found"],
    [["addbadblock 60"], "countbadblocks", "countbadblocks: 1 badblock(s) found"],
    [[], "listbadblocks", "No blocks in badblocklist"],
    [["addbadblock 72", "addbadblock 60 3"], "listbadblocks", "60\n72\n"],
    [[], "clearbadblocks", "dust_clear_badblocks: no badblocks found"],
    [["addbadblock 1"], "ClearBadBlocks", "dust_clear_badblocks: badblocks cleared"],
    [[], "queryblock 72", "dust_query_block: block 72 not found in badblocklist"],
    [["addbadblock 72"], "queryblock 72", "dust_query_block: block 72 found in badblocklist"],
  ])("after %j, %j is answered %j", (before, text, reply) => {
    expect(after(...before)(text)).toEqual({ reply, log: [] });
  });

  test.each([
    [[], "addbadblock 60", ["dust_add_block: badblock added at block 60 with write fail count 0"]],
    [
      [],
      "addbadblock 100 255",
      ["dust_add_block: badblock added at block 100 with write fail count 255"],
    ],
    [["addbadblock 60"], "removebadblock 60", ["dust_remove_block: badblock removed at block 60"]],
    [["quiet"], "addbadblock 60", []],
    [["quiet", "quiet"], "enable", ["enabling read failures on bad sectors"]],
    [[], "disable", ["disabling read failures on bad sectors"]],
    [[], "quiet", []],
  ])("after %j, %j is logged as %j", (before, text, log) => {
    expect(after(...before)(text)).toEqual({ reply: undefined, log });
  });

  test.each([
    [["addbadblock 60"], "addbadblock 60", "dust_add_block: block 60 already in badblocklist"],
    [[], "removebadblock 60", "dust_remove_block: block 60 not found in badblocklist"],
    [[], "addbadblock", "addbadblock requires an additional argument"],
    [[], "queryblock", "queryblock requires an additional argument"],
    [[], "addbadblock 101", "selected block value out of range"],
    [[], "addbadblock 1 256", "selected write fail count out of range"],
    [[], "queryblock 1 2", "unrecognized message 'queryblock' received"],
    [[], "wipe", "unrecognized message 'wipe' received"],
    [[], "wipe 1", "unrecognized message 'wipe' received"],
    [[], "addbadblock 1 2 3", "invalid number of arguments '4'"],
    [[], "addbadblock x", 'want a number: got "x"'],
    [[], "addbadblock -1", 'want a number: got "-1"'],
    [["quiet"], "removebadblock 1", "the target is quiet"],
  ])("after %j, %j is refused: %s", (before, text, message) => {
    const say = after(...before);
    expect(() => say(text)).toThrow(`EINVAL: Cannot take message: ${message}`);
    expect(say("countbadblocks").reply).toBe(
      `countbadblocks: ${before[0] === "addbadblock 60" ? 1 : 0} badblock(s) found`,
    );
  });
});
