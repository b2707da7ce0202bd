/** theriac repair: heals in place what donors have, by a plan. */
import type { Command } from "commander";
import {
  closeDonors,
  digestSource,
  openDonors,
  openTarget,
  readPlan,
  refuseItself,
  repair as repairTarget,
  repairExitCode,
  type Plan,
  type Repair,
  type RepairedStep,
} from "../../rescue/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import { planTable, wrapped } from "./plan-table.ts";
import { addDonorOptions, type DonorOptions } from "./shared-options.ts";

interface Options extends DonorOptions {
  readonly apply?: string;
}

/** The verb. */
export const repair: CommandModule<Options> = {
  configure(command: Command) {
    addDonorOptions(
      command.argument("<image>", "a raw file, a whole disk, or one file system"),
    ).option("--apply <plan>", "do what this plan says, or refuse if anything changed");
  },
  async run(context, { args: [image = ""], options }) {
    if ((options.apply === undefined) === (options.from === undefined))
      throw new RangeError("Want either --from DONOR or --apply PLAN");
    const plan = options.apply === undefined ? undefined : await readPlan(options.apply);
    const result = await run(context, image, { options, plan });
    const exitCode = repairExitCode(result);
    return { exitCode, document: { ...result, exitCode }, text: () => describe(context, result) };
  },
};

async function run(
  context: CommandContext,
  image: string,
  how: { options: Options; plan: Plan | undefined },
): Promise<Repair> {
  const { options, plan } = how;
  const names = plan?.donors.map(({ name }) => name) ?? options.from ?? [];
  refuseItself(image, names);
  const donors = await openDonors(names, { target: image });
  try {
    const target = await openTarget(image, {
      access: "write",
      ...(options.poison === undefined ? {} : { poison: options.poison }),
    });
    try {
      return await repairTarget(
        { target, donors, ...(plan === undefined ? {} : { plan }) },
        {
          trust: options.trust,
          free: options.free ?? false,
          digests: digestSource(options.digest, donors),
          checkpoint: () => context.checkpoint(),
          onProgress: (done, total) => context.progress.report({ phase: "healing", done, total }),
        },
      );
    } finally {
      await target.close();
    }
  } finally {
    await closeDonors(donors);
  }
}

function* describe(context: CommandContext, result: Repair): Generator<string> {
  const { style, columns } = context;
  const outcome = (step: RepairedStep): string => {
    if (step.outcome === "skipped") return step.action;
    return step.outcome === "healed" && step.grade !== undefined
      ? `healed, ${step.grade}`
      : step.outcome;
  };
  yield* planTable(result.steps, {
    style,
    columns,
    outcome: (step) => outcome(step as RepairedStep),
  });
  for (const step of result.steps.filter(({ failure }) => failure !== undefined).slice(0, 20))
    yield wrapped(
      `bytes ${step.offset} to ${step.offset + step.length}: ${printable(step.failure ?? "")}`,
      columns,
    );
  if (result.moved.length > 0)
    yield `${style.red("extents changed under the repair")}: inodes ${result.moved.join(", ")}\n`;
  yield result.missing === 0
    ? `${style.green("No data is missing.")}\n`
    : `${style.red(`${result.missing} bytes of data are still missing.`)}\n`;
  const { bad: _bad, ...moved } = result.sums;
  yield formatTotals(result.totals, style, moved);
}
