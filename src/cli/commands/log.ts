/** theriac log: what was done to an image, step by step. */
import { nodeFiles } from "../../os/index.ts";
import {
  readLog,
  RepairLog,
  type LogDamage,
  type LogRecord,
  type RunRecord,
  type StepRecord,
} from "../../rescue/index.ts";
import { countArgument } from "../arguments.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { printable } from "../style.ts";

interface Options {
  readonly run?: number;
}

/** `theriac log IMAGE` */
export const log: CommandModule<Options> = {
  configure(command) {
    command
      .argument("<image>", "a raw file, a whole disk, or one file system")
      .option("--run <number>", "this run only", countArgument(1));
  },
  async run(context, { args: [image = ""], options }) {
    const { path } = new RepairLog(image);
    if (nodeFiles.info(path) === undefined && nodeFiles.info(image) === undefined)
      // As every command about an image that is not there.
      nodeFiles.open(image);
    const damage: LogDamage = { lines: 0 };
    const records: LogRecord[] = [];
    for await (const record of readLog(nodeFiles, path, damage)) {
      await context.checkpoint();
      if (options.run === undefined || record.run === options.run) records.push(record);
    }
    return {
      exitCode: 0,
      document: {
        schema: "theriac.log/1",
        target: image,
        log: path,
        damagedLines: damage.lines,
        records,
      },
      text: () => describe(context, { image, records, damage }),
    };
  },
};

function* describe(
  context: CommandContext,
  told: { image: string; records: readonly LogRecord[]; damage: LogDamage },
): Generator<string> {
  const { style } = context;
  for (const record of told.records) yield `${lineOf(record, style.bold)}\n`;
  if (told.records.length === 0)
    yield `${printable(told.image)}: nothing was ever repaired, given up or undone here\n`;
  if (told.damage.lines > 0)
    yield style.red(`${told.damage.lines} lines are torn or damaged, and were passed over`) + "\n";
}

function lineOf(record: LogRecord, bold: (text: string) => string): string {
  if (record.record === "run") return bold(printable(runLine(record)));
  if (record.record === "step") return printable(stepLine(record));
  if (record.record === "resumed") return printable(`run ${record.run}  ${record.at}  goes on`);
  if (record.record === "done") {
    const reason = record.reason === undefined ? "" : `: ${record.reason}`;
    const { run, step, outcome, healed } = record;
    return printable(`  ${run}.${step}  ${outcome}, ${healed} bytes${reason}`);
  }
  const { run, at, result, totals } = record;
  return printable(
    `run ${run}  ${at}  ended, ${result}: ${totals.poisoned} poisoned, ${totals.lost} lost`,
  );
}

function runLine(record: RunRecord): string {
  const from = record.repair === undefined ? "" : ` from ${record.repair.donors.join(", ")}`;
  const undoes = record.undoes === undefined ? "" : ` of run ${record.undoes}`;
  const why = record.why === undefined ? "" : `: ${record.why}`;
  return `run ${record.run}  ${record.at}  ${record.what}${undoes}${from}, ${record.steps} ${record.steps === 1 ? "step" : "steps"}${why}`;
}

function stepLine(record: StepRecord): string {
  const where = record.owner.path ?? record.owner.what;
  const donor = record.donor === undefined ? "" : ` from ${record.donor}`;
  const grade = record.grade === undefined ? "" : `, ${record.grade}`;
  const { run, step, action, offset, length, was } = record;
  return `  ${run}.${step}  ${action} bytes ${offset} + ${length} (${was}) of ${where}${donor}${grade}`;
}
