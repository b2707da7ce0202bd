/** theriac salvage: every clean byte out, with a map. */
import type { Command } from "commander";
import {
  fileOfTarget,
  findDamage,
  missingBytes,
  openTarget,
  salvage as salvageTo,
  wholeTarget,
  type Salvaged,
} from "../../rescue/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import { addPoisonOption, type PoisonOption } from "./shared-options.ts";

interface Options extends PoisonOption {
  readonly map?: string;
  readonly file?: string;
}

/** The verb. */
export const salvage: CommandModule<Options> = {
  configure(command: Command) {
    addPoisonOption(
      command
        .argument("<image>", "a raw file, a whole disk, or one file system")
        .argument("<out>", "the output; must not exist, unless an earlier run is continued"),
    )
      .option("--map <file>", "ddrescue mapfile of what is in the output (default: OUT.map)")
      .option("--file <path>", "one file of the image, by its path there");
  },
  async run(context, { args: [image = "", out = ""], options }) {
    const target = await openTarget(image, {
      map: true,
      ...(options.poison === undefined ? {} : { poison: options.poison }),
    });
    try {
      const source =
        options.file === undefined ? wholeTarget(target) : await fileOfTarget(target, options.file);
      const result = await salvageTo(source, out, {
        ...(options.map === undefined ? {} : { map: options.map }),
        onProgress: (event) => context.progress.show(event),
        checkpoint: () => context.checkpoint(),
      });
      await target.device.flush();
      const totals = target.device.poison.totals();
      const missing =
        options.file === undefined ? missingBytes(await findDamage(target)) : result.bad;
      const document = {
        schema: "theriac.salvage/1",
        target: image,
        file: options.file ?? null,
        output: out,
        ...result,
        missing,
        totals,
      };
      return {
        exitCode: missing > 0 ? 1 : 0,
        document,
        text: () => describe(context, { result, totals, out }),
      };
    } finally {
      await target.close();
    }
  },
};

function* describe(
  context: CommandContext,
  told: { result: Salvaged; totals: PoisonTotals; out: string },
): Generator<string> {
  const { result, totals, out } = told;
  const holes = result.holes.length;
  yield `${context.style.bold(printable(out))}: ${result.salvaged} of ${result.size} bytes`;
  yield holes === 0
    ? ", all of it\n"
    : `, ${holes} ${holes === 1 ? "hole" : "holes"} (${result.bad} bytes)\n`;
  yield `map ${printable(result.map)}${result.resumed > 0 ? `, ${result.resumed} bytes from an earlier run` : ""}\n`;
  yield formatTotals(totals, context.style, { salvaged: result.salvaged, holes: result.bad });
}
