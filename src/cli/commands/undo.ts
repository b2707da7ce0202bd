/** theriac undo: marks lost again what a run wrote, and only where it still stands. */
import { StorageError } from "../../base/index.ts";
import { nodeFiles } from "../../os/index.ts";
import {
  openTarget,
  RepairLog,
  undo as undoRun,
  type Target,
  type Undone,
} from "../../rescue/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import { confirmWrites, YES } from "./live-option.ts";
import { wrapped } from "./plan-table.ts";

/** Lost bytes of a live file would be a marker, which other programs read as data (R1). @throws {StorageError} EOPNOTSUPP */
function refuseLiveFile({ live, path }: Target): void {
  if (live?.file === undefined) return;
  throw new StorageError(
    "EOPNOTSUPP",
    `Cannot undo a repair of ${path}: it is a file of a live machine, and other programs would read what stands there then`,
    { path, syscall: "undo" },
  );
}

/** `theriac undo IMAGE [RUN|RUN.STEP]` */
export const undo: CommandModule<{ readonly yes?: boolean }> = {
  configure(command) {
    command
      .argument("<image>", "a raw file, a whole disk, or one file system")
      .argument("[what]", "a run of theriac log (3), or a step of one (3.17); else the last run")
      .option("--yes", YES);
  },
  async run(context, { args: [image = "", what = ""], options }) {
    const wanted = parseWhat(what);
    const target = await openTarget(image, { access: "write" });
    const log = new RepairLog(image, nodeFiles, target.live?.statePath);
    try {
      refuseLiveFile(target);
      await confirmWrites(target, options);
      const undone = await undoRun(target, log, wanted);
      const totals = target.device.poison.totals();
      return {
        exitCode: 0,
        document: {
          schema: "theriac.undo/1",
          target: image,
          kept: log.keptPath,
          ...undone,
          totals,
        },
        text: () => describe(context, { undone, log, totals }),
      };
    } finally {
      log.close();
      await target.close();
    }
  },
};

function parseWhat(text: string): { run?: number; step?: number } {
  if (text === "") return {};
  const [, run, step] = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (run === undefined) throw new RangeError(`Want a run (3) or a step (3.17): got "${text}"`);
  return { run: Number(run), ...(step === undefined ? {} : { step: Number(step) }) };
}

function* describe(
  context: CommandContext,
  told: { undone: Undone; log: RepairLog; totals: PoisonTotals },
): Generator<string> {
  const { undone, log, totals } = told;
  const already = undone.steps.filter(({ outcome }) => outcome === "already").length;
  yield undone.bytes === 0
    ? `run ${undone.run}: nothing of it stands there any more\n`
    : `run ${undone.run}: ${undone.bytes} bytes of ${undone.steps.length - already} steps are lost again\n`;
  if (undone.bytes > 0)
    yield wrapped(
      `what the run had written is kept in ${printable(log.keptPath)}`,
      context.columns,
    );
  yield formatTotals(totals, context.style, { undone: undone.bytes });
}
