/** theriac verify: reads everything, and compares with a donor where one is given. */
import type { Command } from "commander";
import {
  findDamage,
  givenUp,
  openDonor,
  refuseItself,
  RepairLog,
  verify as verifyTarget,
  verifyExitCode,
  type Verification,
} from "../../rescue/index.ts";
import { nodeFiles } from "../../os/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import {
  addManifestOptions,
  checkManifest,
  writeManifest,
  type ManifestOptions,
} from "./manifest-option.ts";
import { wrapped } from "./plan-table.ts";
import { addLiveOption, openChosen, type LiveOption } from "./live-option.ts";

interface Options extends LiveOption, ManifestOptions {
  readonly against?: string;
}

/** The verb. */
export const verify: CommandModule<Options> = {
  configure(command: Command) {
    addManifestOptions(
      addLiveOption(
        command.argument("<image>", "a raw file, a whole disk, or one file system"),
      ).option("--against <donor>", "tree, image or URL to compare every file with"),
    );
  },
  async run(context, { args: [image = ""], options }) {
    checkManifest(options);
    refuseItself(image, options.against === undefined ? [] : [options.against]);
    const donor =
      options.against === undefined
        ? undefined
        : await openDonor(options.against, { target: image });
    try {
      const target = await openChosen(image, options);
      try {
        const given = await givenUp(
          target,
          new RepairLog(image, nodeFiles, target.live?.statePath),
        );
        const result = await verifyTarget(target, donor, {
          givenUp: given,
          onProgress: (event) => context.progress.show(event),
          checkpoint: () => context.checkpoint(),
        });
        if (options.manifest !== undefined)
          writeManifest(context, options, {
            target: image,
            damage: await findDamage(target),
            givenUp: given,
          });
        return {
          exitCode: verifyExitCode(result),
          document: { ...result },
          text: () => describe(context, result),
        };
      } finally {
        await target.close();
      }
    } finally {
      await donor?.close();
    }
  },
};

function* describe(context: CommandContext, result: Verification): Generator<string> {
  const { style, columns } = context;
  const rows = result.different.slice(0, 200);
  for (const file of rows)
    yield wrapped(
      `${style.bold(printable(file.path))} ${file.result}: ${printable(file.why)}`,
      columns,
    );
  if (result.different.length > rows.length)
    yield `... and ${result.different.length - rows.length} more: see --json\n`;
  if (rows.length > 0) yield "\n";
  if (result.files !== null) {
    const parts = Object.entries(result.files).map(([name, count]) => `${count} ${name}`);
    yield `files: ${parts.join(", ")}\n`;
  }
  yield result.missing === 0
    ? `${style.green("No data is missing.")}\n`
    : `${style.red(`${result.missing} bytes of data are missing.`)}\n`;
  const given = result.acknowledged === 0 ? {} : { acknowledged: result.acknowledged };
  yield formatTotals(result.totals, style, { missing: result.missing, ...given });
}
