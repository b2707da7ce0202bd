/** theriac report: the damage and what was done about it, on a page for people, as text, or as a document. */
import type { Command } from "commander";
import { formatSize, StorageError } from "../../base/index.ts";
import { nodeFiles } from "../../os/index.ts";
import {
  openTarget,
  readLog,
  RepairLog,
  replaceText,
  report as reportOn,
  reportPage,
  reportText,
  runOfDocument,
  runsOfLog,
  type DoneRun,
  type Report,
} from "../../rescue/index.ts";
import { several } from "../arguments.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { checkReplaceable } from "../replaceable.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import { addPoisonOption, type PoisonOption } from "./shared-options.ts";

interface Options extends PoisonOption {
  readonly output?: string;
  readonly done?: readonly string[];
  readonly text?: boolean;
}

/** Longest document of an earlier command that is read. */
const LONGEST = 256 * 1024 * 1024;

/** The verb. */
export const report: CommandModule<Options> = {
  configure(command: Command) {
    addPoisonOption(command.argument("<image>", "a raw file, a whole disk, or one file system"))
      .option("-o, --output <file>", "where the page goes: one HTML file that needs nothing else")
      .option(
        "--done <file...>",
        "what repair --json or salvage --json printed: shown in the place of the log",
        several((text) => text),
      )
      .option("--text", "the report as text, beside the page");
  },
  async run(context, { args: [image = ""], options }) {
    const { output } = options;
    if (output !== undefined) checkReplaceable(output, "theriac.report/1");
    const given = (options.done ?? []).map(readDone);
    // What a repair printed stands in the log too: only one of them is told.
    const history =
      given.length > 0 ? given : await runsOfLog(readLog(nodeFiles, new RepairLog(image).path));
    const target = await openTarget(
      image,
      options.poison === undefined ? {} : { poison: options.poison },
    );
    let made: Report;
    try {
      made = await reportOn(target, { history, checkpoint: () => context.checkpoint() });
    } finally {
      await target.close();
    }
    const bytes = output === undefined ? 0 : writePage(output, made);
    return {
      exitCode: 0,
      document: { ...made, page: output ?? null },
      text: () => textOf(context, made, { options, bytes }),
    };
  },
};

/** @returns bytes of the page */
function writePage(path: string, made: Report): number {
  const page = [...reportPage(made)].join("");
  replaceText(nodeFiles, path, page);
  return Buffer.byteLength(page);
}

function* textOf(
  context: CommandContext,
  made: Report,
  how: { options: Options; bytes: number },
): Generator<string> {
  const { options, bytes } = how;
  if (options.output === undefined || options.text === true) yield* reportText(made);
  if (options.output !== undefined)
    yield `${context.style.bold(printable(options.output))}: ${formatSize(bytes)}\n`;
  yield formatTotals(made.totals, context.style, { missing: made.missing, ...made.moved });
}

/** What an earlier command printed. @throws {StorageError} EBADMSG where it is none that did something */
function readDone(path: string): DoneRun {
  const file = nodeFiles.open(path);
  let text: string;
  try {
    const size = file.size();
    const fits = size <= LONGEST;
    const bytes = new Uint8Array(fits ? size : 0);
    if (!fits) throw notDone(path, `it has ${size} bytes, and ${LONGEST} are the most`);
    text = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes, 0)));
  } finally {
    file.close();
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notDone(path, `it is no JSON (${error instanceof Error ? error.message : ""})`);
  }
  const run = runOfDocument(value);
  if (run === undefined) throw notDone(path, "it is no theriac.repair/1 or theriac.salvage/1");
  return run;
}

function notDone(path: string, why: string): StorageError {
  return new StorageError("EBADMSG", `Cannot read "${path}" as what was done: ${why}`, { path });
}
