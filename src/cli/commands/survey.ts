/** theriac survey: which bytes of which files are gone. */
import type { Command } from "commander";
import { givenUp, RepairLog, survey as surveyTarget, type Survey } from "../../rescue/index.ts";
import { nodeFiles } from "../../os/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import { damageTables } from "./damage-table.ts";
import { addLiveOption, openChosen, type LiveOption } from "./live-option.ts";
import { placeLog, type PlacedLog } from "./kernel-log-option.ts";
import { wrapped } from "./plan-table.ts";

interface Options extends LiveOption {
  readonly log?: string;
  readonly logDevice?: string;
  readonly scan?: boolean;
}

/** The verb. */
export const survey: CommandModule<Options> = {
  configure(command: Command) {
    addLiveOption(
      command.argument(
        "<image>",
        "a raw file, a whole disk, or one file system; a block device; a file of a mounted file system",
      ),
    )
      .option(
        "--log <file>",
        "kernel lines (dmesg, journalctl) whose errors are surveyed too; - is stdin",
      )
      .option("--log-device <name>", "which device of the log the image is, such as sda")
      .option("--scan", "read everything first, so that latent errors become known");
  },
  async run(context, { args: [image = ""], options }) {
    const target = await openChosen(image, options);
    try {
      const chosen = options.logDevice === undefined ? {} : { device: options.logDevice };
      const log =
        options.log === undefined ? undefined : await placeLog(options.log, target, chosen);
      const result = await surveyTarget(target, {
        reported: log?.ranges ?? [],
        scan: options.scan ?? false,
        onProgress: (event) => context.progress.show(event),
        checkpoint: () => context.checkpoint(),
      });
      const given = await givenUp(target, new RepairLog(image, nodeFiles, target.live?.statePath));
      const acknowledged = given.reduce((sum, { length }) => sum + length, 0);
      return {
        exitCode: result.missing > 0 ? 1 : 0,
        document: { ...result, acknowledged, ...(log === undefined ? {} : { log: log.document }) },
        text: () => describe(context, { ...result, acknowledged }, log),
      };
    } finally {
      await target.close();
    }
  },
};

function* describe(
  context: CommandContext,
  result: Survey & { readonly acknowledged: number },
  log: PlacedLog | undefined,
): Generator<string> {
  const { style, columns } = context;
  for (const volume of result.volumes) {
    const what =
      volume.filesystem === null
        ? `unknown: ${volume.why ?? ""}`
        : `${volume.filesystem} ${volume.uuid ?? ""}${volume.label ? ` "${volume.label}"` : ""}`;
    yield `${style.bold(printable(result.target))}${volume.name === "" ? "" : `, ${volume.name}`}: ${printable(what)}\n`;
    if (volume.journal?.pending === true)
      yield wrapped(`journal: ${printable(volume.journal.message)}`, columns);
  }
  yield "\n";
  for (const note of [...result.notes, ...(log?.notes ?? [])])
    yield wrapped(printable(note), columns);
  yield* damageTables(result.damage, { style, columns });
  const problems = result.volumes.flatMap((volume) => volume.problems);
  for (const problem of problems.slice(0, 20))
    yield wrapped(`! ${printable(problem.message)}`, columns);
  if (problems.length > 20) yield `  ... and ${problems.length - 20} more problems: see --json\n`;
  yield `${summary(result)}\n`;
  const given = result.acknowledged === 0 ? {} : { acknowledged: result.acknowledged };
  yield formatTotals(result.totals, style, { missing: result.missing, ...given });
}

/** What it means, in a sentence. */
function summary(result: Survey): string {
  const inodes = new Set(
    result.damage.flatMap(({ owners, volume }) =>
      owners
        .filter(({ kind }) => kind === "file")
        .map(({ inode }) => `${volume ?? ""}:${inode ?? ""}`),
    ),
  );
  if (result.damage.length === 0)
    return result.totals.unread > 0
      ? "No byte is known to be bad; unread bytes may be (--scan reads them)."
      : "No byte is bad.";
  if (result.missing === 0) return "No data is missing: all damage is in slack or free space.";
  return `${inodes.size} ${inodes.size === 1 ? "file misses" : "files miss"} data; ${result.missing} bytes of data and metadata are missing.`;
}
