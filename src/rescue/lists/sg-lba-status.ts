/**
 * sg_get_lba_status: which logical blocks of a SCSI disk may give an unrecovered error, by GET LBA STATUS with report type 16 (SBC-4).
 *
 * The trap: a disk that knows no report types answers the same command with all of its blocks, mapped and deallocated. The bit RTP of its answer says whether the
 * type was looked at: without it the answer names nothing. One answer holds at most 4095 descriptors; the completion condition 1 says that more follow. Where
 * the kernel's own list is empty this still tells: it is the disk that answers, and it reads no medium for it.
 */
import type { ProgramRunner } from "../../os/index.ts";
import { limited, noAnswer, type ListSource, type SourceAnswer } from "./list-source.ts";
import { allPages, type BlockPage, type LogicalBlocks } from "./logical-blocks.ts";

const NAME = "sg_get_lba_status";
/** Bytes of one answer: 8, and 16 for each descriptor. */
const ANSWER_BYTES = 8 + 16 * 4095;

/** One answer in its brief form (`-b`). */
interface BriefAnswer extends BlockPage {
  /** Whether the disk looked at the report type. */
  readonly typed: boolean;
}

/** Reads the text of `sg_get_lba_status --brief`; a sentence where it is none. */
export function parseBrief(text: string): BriefAnswer | string {
  const ranges: { block: number; blocks: number }[] = [];
  let condition = 0;
  let typed: boolean | undefined;
  for (const line of text.split("\n")) {
    const row = /^0x([0-9a-f]{1,16}) {2}0x([0-9a-f]{1,8}) {2}\d+ {2}\d+$/i.exec(line.trimEnd());
    const head = /^(Completion condition|RTP)=(\d)$/.exec(line.trimEnd());
    if (row !== null) {
      const block = Number(`0x${row[1] ?? ""}`);
      if (!Number.isSafeInteger(block)) return `want a block below 2^53: got "${line}"`;
      ranges.push({ block, blocks: Number(`0x${row[2] ?? ""}`) });
    } else if (head?.[1] === "RTP") typed = head[2] === "1";
    else if (head !== null) condition = Number(head[2]);
    else if (line.startsWith("No complete LBA status descriptors")) typed ??= true;
    else if (line.trim() !== "") return `want "0xLBA  0xBLOCKS  N  N": got "${line.slice(0, 80)}"`;
  }
  if (typed === undefined) return "want a line RTP=: got none";
  return { ranges, typed, more: condition === 1 };
}

/** The source for a SCSI disk. */
export function sgLbaStatus(disk: LogicalBlocks, run: ProgramRunner): ListSource {
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
  const words = ["--brief", "--readonly", "--report-type=16", `--maxlen=${ANSWER_BYTES}`];
  const answer = await run([NAME, ...words, `--lba=${from}`, path], limited(signal));
  if (answer.kind !== "ended" || answer.status !== 0) return noAnswer(NAME, NAME, answer);
  const page = parseBrief(answer.stdout.toString("latin1"));
  if (typeof page === "string")
    return { source: NAME, why: `Cannot read what ${NAME} printed: ${page}`, absent: false };
  return page.typed
    ? page
    : { source: NAME, why: "the disk does not tell which blocks are bad", absent: true };
}
