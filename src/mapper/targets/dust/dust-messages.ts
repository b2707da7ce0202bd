/** dust-messages: the messages of dm-dust, with the kernel's replies and log lines to the letter (drivers/md/dm-dust.c: dust_message). */
import { StorageError } from "../../../base/index.ts";
import type { MessageAnswer } from "../../target.ts";
import { FAIL_COUNT_MAX, type DustBlocks } from "./dust-blocks.ts";

/** What a message meets. */
export interface DustMessage {
  /** As they were sent; the kernel looks at no case. */
  readonly words: readonly string[];
  readonly blocks: DustBlocks;
  /** Bytes of the device below. */
  readonly deviceSize: number;
}

/** Does what a message says. @throws {StorageError} EINVAL with what the kernel logs, or nothing where it logs nothing */
export function dustMessage(message: DustMessage): MessageAnswer {
  const { words } = message;
  const [name = "", block, count] = words;
  if (words.length > 3) throw refusal(`invalid number of arguments '${words.length}'`);
  if (block === undefined) return plainMessage(name, message.blocks);
  const number = numberOf(block);
  const failCount = count === undefined ? 0 : numberOf(count);
  if (failCount > FAIL_COUNT_MAX) throw refusal("selected write fail count out of range");
  // the kernel takes one block past the end too
  if (number > Math.floor(message.deviceSize / message.blocks.blockSize))
    throw refusal("selected block value out of range");
  return blockMessage(message, number, failCount);
}

function plainMessage(name: string, blocks: DustBlocks): MessageAnswer {
  switch (name.toLowerCase()) {
    case "addbadblock":
    case "removebadblock":
    case "queryblock":
      throw refusal(`${name} requires an additional argument`);
    case "enable":
      blocks.enabled = true;
      return logged("enabling read failures on bad sectors");
    case "disable":
      blocks.enabled = false;
      return logged("disabling read failures on bad sectors");
    case "quiet":
      blocks.quiet = !blocks.quiet;
      return logged();
    case "countbadblocks":
      return replied(`countbadblocks: ${blocks.count} badblock(s) found`);
    case "listbadblocks": {
      const lines = Array.from(blocks, (block) => `${block}\n`);
      return replied(lines.length === 0 ? "No blocks in badblocklist" : lines.join(""));
    }
    case "clearbadblocks": {
      const found = blocks.count === 0 ? "no badblocks found" : "badblocks cleared";
      blocks.clear();
      return replied(`dust_clear_badblocks: ${found}`);
    }
    default:
      throw refusal(`unrecognized message '${name}' received`);
  }
}

function blockMessage(message: DustMessage, block: number, failCount: number): MessageAnswer {
  const { words, blocks } = message;
  const [name = ""] = words;
  const loud = (text: string): MessageAnswer => (blocks.quiet ? logged() : logged(text));
  const fail = (text: string): never => {
    throw refusal(blocks.quiet ? undefined : text);
  };
  // only an addition has a third word
  switch (words.length === 3 && name.toLowerCase() !== "addbadblock" ? "" : name.toLowerCase()) {
    case "addbadblock":
      if (!blocks.add(block, failCount))
        return fail(`dust_add_block: block ${block} already in badblocklist`);
      return loud(
        `dust_add_block: badblock added at block ${block} with write fail count ${failCount}`,
      );
    case "removebadblock":
      if (!blocks.remove(block))
        return fail(`dust_remove_block: block ${block} not found in badblocklist`);
      return loud(`dust_remove_block: badblock removed at block ${block}`);
    case "queryblock":
      return replied(
        `dust_query_block: block ${block} ${blocks.has(block) ? "found" : "not found"} in badblocklist`,
      );
    default:
      throw refusal(`unrecognized message '${name}' received`);
  }
}

function replied(reply: string): MessageAnswer {
  return { reply, log: [] };
}

function logged(...log: string[]): MessageAnswer {
  return { reply: undefined, log };
}

function numberOf(word: string): number {
  const value = /^\d{1,16}$/.test(word) ? Number(word) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw refusal(undefined, `want a number: got ${JSON.stringify(word)}`);
}

/** @param log what the kernel logs; where it says nothing, `otherwise` says what is wrong */
function refusal(log: string | undefined, otherwise = "the target is quiet"): StorageError {
  return new StorageError("EINVAL", `Cannot take message: ${log ?? otherwise}`, {
    syscall: "message",
  });
}
