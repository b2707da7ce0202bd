/**
 * nvme get-lba-status: which logical blocks of a namespace are potentially unrecoverable (NVMe 1.4, Get LBA Status, action 11h: what the controller tracks already).
 *
 * The other action, 10h, makes the controller scan the medium first: that is a scrub, and nobody's side effect. The answer is taken as the controller gave it (`-o binary`): a
 * list of 8 bytes (count of descriptors, completion condition) and 16 bytes each (first block, count of blocks), little endian, because the tool's text has changed
 * with its versions. The error log (`nvme error-log`) names blocks too, but of commands that failed once: it is history, and says of none whether it is bad now.
 */
import type { ProgramRunner } from "../../os/index.ts";
import { limited, noAnswer, type ListSource, type SourceAnswer } from "./list-source.ts";
import { allPages, type BlockPage, type LogicalBlocks } from "./logical-blocks.ts";

const NAME = "nvme get-lba-status";
/** Double words of one answer less one, as the command counts them: 4 KiB, 255 descriptors. */
const DOUBLE_WORDS = 1023;
/** Generic command status of commands that a controller does not have, as nvme prints it. */
const NO_SUCH_COMMAND = /invalid (?:command )?opcode|INVALID_OPCODE|invalid field/i;

/** Reads one answer; a sentence where it is none. */
export function parseStatusList(bytes: Uint8Array): BlockPage | string {
  if (bytes.length < 8) return `want a list of 8 bytes and more: got ${bytes.length}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(0, true);
  const condition = view.getUint8(4);
  if (condition > 2) return `want a completion condition up to 2: got ${condition}`;
  const room = Math.floor((bytes.length - 8) / 16);
  if (count > room && condition !== 1)
    return `want room for ${count} descriptors: got ${bytes.length} bytes`;
  const ranges: { block: number; blocks: number }[] = [];
  for (let index = 0; index < Math.min(count, room); index += 1) {
    const block = view.getBigUint64(8 + 16 * index, true);
    if (block > BigInt(Number.MAX_SAFE_INTEGER)) return `want a block below 2^53: got ${block}`;
    ranges.push({ block: Number(block), blocks: view.getUint32(16 + 16 * index, true) });
  }
  return { ranges, more: condition === 1 };
}

/** The source for an NVMe namespace. */
export function nvmeLbaStatus(disk: LogicalBlocks, run: ProgramRunner): ListSource {
  return {
    name: NAME,
    read: (signal) => allPages(disk, NAME, (from) => ask(disk.path, from, { run, signal })),
  };
}

async function ask(
  path: string,
  from: number,
  { run, signal }: { readonly run: ProgramRunner; readonly signal: AbortSignal | undefined },
): Promise<BlockPage | SourceAnswer> {
  const words = ["--action=0x11", `--max-dw=${DOUBLE_WORDS}`, `--start-lba=${from}`];
  const answer = await run(
    ["nvme", "get-lba-status", path, ...words, "--output-format=binary"],
    limited(signal),
  );
  if (answer.kind !== "ended" || answer.status !== 0)
    return NO_SUCH_COMMAND.test(answer.stderr)
      ? { source: NAME, why: "the controller does not have Get LBA Status", absent: true }
      : noAnswer(NAME, "nvme", answer);
  const page = parseStatusList(answer.stdout);
  return typeof page === "string"
    ? { source: NAME, why: `Cannot read what nvme printed: ${page}`, absent: false }
    : page;
}
