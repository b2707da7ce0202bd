/** theriac acknowledge: gives up bytes that nobody can restore, by somebody's word, which is written down. */
import { nodeFiles } from "../../os/index.ts";
import { acknowledge as giveUp, RepairLog } from "../../rescue/index.ts";
import { sizeArgument, several } from "../arguments.ts";
import type { CommandModule } from "../command.ts";
import { formatTotals } from "../totals.ts";
import { addLiveOption, confirmWrites, openChosen, YES, type LiveOption } from "./live-option.ts";
import { planTable, wrapped } from "./plan-table.ts";

interface Options extends LiveOption {
  readonly yes?: boolean;
  readonly at?: readonly number[];
  readonly length?: number;
  readonly file?: string;
  readonly why?: string;
  readonly metadata?: boolean;
}

/** `theriac acknowledge IMAGE --at OFFSET --length SIZE | --file PATH` */
export const acknowledge: CommandModule<Options> = {
  configure(command) {
    addLiveOption(command.argument("<image>", "a raw file, a whole disk, or one file system"))
      .option(
        "--at <offset>",
        "first byte, on the image; several may be given",
        several(sizeArgument),
      )
      .option("--length <size>", "bytes of each", sizeArgument)
      .option("--file <path>", "everything that is bad of this file")
      .option("--why <text>", "a sentence for the log")
      .option("--metadata", "structures of the file system too: zeros there break it")
      .option("--yes", YES);
  },
  async run(context, { args: [image = ""], options }) {
    const { at = [], length, file, why, metadata = false } = options;
    if ((at.length === 0) === (file === undefined) || (at.length === 0) !== (length === undefined))
      throw new RangeError("Want either --at OFFSET with --length SIZE, or --file PATH");
    const target = await openChosen(image, options, "write");
    const log = new RepairLog(image, nodeFiles, target.live?.statePath);
    try {
      await confirmWrites(target, options);
      const ranges = at.map((offset) => ({ offset, length: length ?? 0 }));
      const beyond = ranges.find((range) => range.offset + range.length > target.device.size);
      if (beyond !== undefined)
        throw new RangeError(
          `Want ranges inside ${target.device.size} bytes: got ${beyond.offset} + ${beyond.length}`,
        );
      const checkpoint = (): Promise<void> => context.checkpoint();
      const done = await giveUp(target, log, { ranges, path: file, why, metadata, checkpoint });
      const totals = target.device.poison.totals();
      const moved = { acknowledged: done.bytes, failed: done.failed };
      return {
        exitCode: done.failed > 0 ? 1 : 0,
        document: {
          schema: "theriac.acknowledge/1",
          target: image,
          log: log.path,
          ...done,
          totals,
        },
        text: function* () {
          yield* planTable(done.steps, {
            style: context.style,
            columns: context.columns,
            outcome: (step) => (step as (typeof done.steps)[number]).outcome,
          });
          if (done.steps.length === 0) yield "Nothing is bad there.\n";
          else
            yield wrapped(
              "zeros stand there now; theriac log keeps what was given up",
              context.columns,
            );
          yield formatTotals(totals, context.style, moved);
        },
      };
    } finally {
      log.close();
      await target.close();
    }
  },
};
