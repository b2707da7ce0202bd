/** theriac plan: what a repair would do, as a file. */
import type { Command } from "commander";
import {
  closeDonors,
  digestSource,
  makePlan,
  openDonors,
  refuseItself,
  type Plan,
} from "../../rescue/index.ts";
import { nodeFiles } from "../../os/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { jsonPieces } from "../json.ts";
import { checkReplaceable } from "../replaceable.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import { donorNames, openChosen } from "./live-option.ts";
import { planTable } from "./plan-table.ts";
import { addDonorOptions, type DonorOptions } from "./shared-options.ts";
import { replaceText } from "../../rescue/index.ts";

interface Options extends DonorOptions {
  readonly output?: string;
}

/** The verb. */
export const plan: CommandModule<Options> = {
  configure(command: Command) {
    addDonorOptions(
      command.argument("<image>", "a raw file, a whole disk, or one file system"),
    ).option("-o, --output <plan>", "where the plan goes; repair --apply takes it");
  },
  async run(context, { args: [image = ""], options }) {
    if (options.output !== undefined) checkReplaceable(options.output, "theriac.plan/1");
    refuseItself(image, options.from ?? []);
    const target = await openChosen(image, options);
    try {
      const donors = await openDonors(donorNames(target, options.from ?? []), { target: image });
      try {
        const made = await makePlan(target, donors, {
          trust: options.trust,
          free: options.free ?? false,
          digests: digestSource(options.digest, donors),
          checkpoint: () => context.checkpoint(),
          onProgress: (event) => context.progress.show(event),
        });
        if (options.output !== undefined)
          replaceText(nodeFiles, options.output, jsonPieces({ ...made }));
        return {
          exitCode: 0,
          document: { ...made },
          text: () => describe(context, made, options.output),
        };
      } finally {
        await closeDonors(donors);
      }
    } finally {
      await target.close();
    }
  },
};

function* describe(
  context: CommandContext,
  made: Plan,
  output: string | undefined,
): Generator<string> {
  yield* planTable(made.steps, { style: context.style, columns: context.columns });
  if (output !== undefined) yield `plan ${printable(output)}\n`;
  const { bad: _bad, ...moved } = made.sums;
  yield formatTotals(made.totals, context.style, moved);
}
