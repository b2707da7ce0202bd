/** theriac repair: heals in place what donors have, by a plan. */
import type { Command } from "commander";
import { StorageError } from "../../base/index.ts";
import {
  closeDonors,
  digestSource,
  findDamage,
  findInterrupted,
  givenUp,
  openDonors,
  readPlan,
  refuseItself,
  repair as repairTarget,
  repairExitCode,
  RepairLog,
  scan,
  type InterruptedRepair,
  type Plan,
  type Repair,
  type RepairParts,
  type RepairedStep,
} from "../../rescue/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { nodeFiles } from "../../os/index.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import { confirmWrites, donorNames, openChosen, YES } from "./live-option.ts";
import {
  addManifestOptions,
  checkManifest,
  writeManifest,
  type ManifestOptions,
} from "./manifest-option.ts";
import { planTable, wrapped } from "./plan-table.ts";
import { addDonorOptions, type DonorOptions } from "./shared-options.ts";

interface Options extends DonorOptions, ManifestOptions {
  readonly apply?: string;
  readonly resume?: boolean;
  readonly yes?: boolean;
  readonly scan?: boolean;
}

/** The verb. */
export const repair: CommandModule<Options> = {
  configure(command: Command) {
    addManifestOptions(
      addDonorOptions(command.argument("<image>", "a raw file, a whole disk, or one file system"))
        .option("--apply <plan>", "do what this plan says, or refuse if anything changed")
        .option("--resume", "go on with a repair that was interrupted")
        .option("--scan", "read everything first, so that latent errors become known")
        .option("--yes", YES),
    );
  },
  async run(context, { args: [image = ""], options }) {
    const ways = [options.apply, options.from, options.resume].filter((way) => way !== undefined);
    if (ways.length !== 1) throw new RangeError("Want one of --from DONOR, --apply PLAN, --resume");
    checkManifest(options);
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
  const known = plan?.donors.map(({ name }) => name) ?? options.from ?? [];
  refuseItself(image, known);
  const target = await openChosen(image, options, "write");
  const log = new RepairLog(image, nodeFiles, target.live?.statePath);
  try {
    await confirmWrites(target, options);
    if (options.scan === true)
      await scan(target, {
        onProgress: (event) => context.progress.show(event),
        checkpoint: () => context.checkpoint(),
      });
    const interrupted = options.resume === true ? await wantInterrupted(image, log) : undefined;
    const donors = await openDonors(interrupted?.request.donors ?? donorNames(target, known), {
      target: image,
    });
    try {
      const result = await heal(context, options, {
        target,
        donors,
        log,
        ...(plan === undefined ? {} : { plan }),
        ...(interrupted === undefined ? {} : { interrupted }),
      });
      writeManifest(context, options, {
        target: image,
        damage: options.manifest === undefined ? [] : await findDamage(target),
        givenUp: options.manifest === undefined ? [] : await givenUp(target, log),
        reasons: result.steps.map(({ offset, length, reason, failure }) => ({
          offset,
          length,
          reason: failure ?? reason,
        })),
      });
      return result;
    } finally {
      await closeDonors(donors);
    }
  } finally {
    log.close();
    await target.close();
  }
}

/** Runs the repair, with the options of this call, or of the one that was interrupted. */
async function heal(context: CommandContext, options: Options, on: RepairParts): Promise<Repair> {
  const request = on.interrupted?.request;
  const digest = request === undefined ? options.digest : request.digest;
  return await repairTarget(on, {
    trust: request?.trust ?? options.trust,
    free: request?.free ?? options.free ?? false,
    ...(digest === undefined ? {} : { digest }),
    digests: digestSource(digest, on.donors),
    checkpoint: () => context.checkpoint(),
    onProgress: (event) => context.progress.show(event),
  });
}

async function wantInterrupted(image: string, log: RepairLog): Promise<InterruptedRepair> {
  const interrupted = await findInterrupted(log);
  if (interrupted !== undefined) return interrupted;
  throw new StorageError(
    "ENOENT",
    `Cannot go on: no repair of "${image}" was interrupted: theriac repair --from DONOR begins one`,
    { path: log.path, syscall: "resume" },
  );
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
