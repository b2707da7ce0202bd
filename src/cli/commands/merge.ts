/** theriac merge: partial copies of one source into one that lacks only what all of them lack. */
import type { Command } from "commander";
import { openCopies, salvage } from "../../rescue/index.ts";
import type { CommandModule } from "../command.ts";
import { printable } from "../style.ts";

interface Options {
  readonly map?: string;
  readonly hash?: boolean;
}

/** The verb. */
export const merge: CommandModule<Options> = {
  configure(command: Command) {
    command
      .argument("<out>", "the output; must not exist, unless an earlier run is continued")
      .argument(
        "<copies...>",
        "outputs of earlier salvages of one source, each with its map beside it",
      )
      .option("--map <file>", "ddrescue mapfile of what is in the output (default: OUT.map)")
      .option("--hash", "keep hashes of what is merged, in MAP.hashes");
  },
  async run(context, { args: [out = ""], rest, options }) {
    const copies = await openCopies(rest);
    try {
      const result = await salvage(copies, out, {
        domain: copies.domain,
        ...options,
        onProgress: (event) => context.progress.show(event),
        checkpoint: () => context.checkpoint(),
      });
      const missing = result.size - result.salvaged;
      const areas = result.holes.length;
      return {
        exitCode: missing > 0 ? 1 : 0,
        document: { schema: "theriac.merge/1", copies: rest, output: out, ...result, missing },
        text: () =>
          `${context.style.bold(printable(out))}: ${result.salvaged} of ${result.size} bytes from ${rest.length} copies` +
          (missing === 0
            ? ", all of it\n"
            : `, ${areas} ${areas === 1 ? "hole" : "holes"} (${missing} bytes) in all of them\n`) +
          `map ${printable(result.map)}\n`,
      };
    } finally {
      copies.close();
    }
  },
};
