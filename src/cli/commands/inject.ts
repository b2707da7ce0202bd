/** theriac inject: tells a simulated image which ranges fail, and how. */
import { Option } from "commander";
import { checkRange, StorageError, type ByteRange } from "../../base/index.ts";
import { FAULT_KINDS, isNbdUri, type FaultyDevice } from "../../device/index.ts";
import { isFaulty, isStackPath, openImage } from "../../mapper/index.ts";
import type { FaultKind } from "../../poison/index.ts";
import { readPoisonList } from "../../rescue/index.ts";
import { countArgument, integerArgument, several, sizeArgument } from "../arguments.ts";
import type { ControlClient, InjectAnswer } from "../../nbd/index.ts";
import type { CommandContext, CommandModule, CommandResult } from "../command.ts";
import { serverOf } from "../served-image.ts";
import { formatTotals } from "../totals.ts";
import { injectPlan, injectPlanServed, wantedPlan, type PlanSource } from "./inject-plan.ts";

interface InjectOptions {
  readonly at?: readonly number[];
  readonly length?: readonly number[];
  readonly fromList?: string;
  readonly fault: FaultKind;
  readonly latent?: boolean;
  readonly off?: boolean;
  readonly plan?: string;
  readonly random?: number;
  readonly count?: number;
}

/** `theriac inject IMAGE --at OFFSET --length N` */
export const inject: CommandModule<InjectOptions> = {
  configure(command) {
    command
      .argument("<image>", "an image of theriac create, or a stack of such images")
      .option("--at <offset>", "where; may be given several times", several(sizeArgument))
      .option(
        "--length <size>",
        "how much; once for each --at, or once for all",
        several(sizeArgument),
      )
      .option("--from-list <file>", "poison what a list names: badblocks, ndctl, cxl, ddrescue map")
      .option("--latent", "nobody knows of it before something touches it")
      .addOption(
        new Option("--fault <kind>", "what happens there").choices(FAULT_KINDS).default("poison"),
      )
      .option("--off", "end a fault; data comes back by writing alone")
      .option("--plan <file>", "do what a plan of faults says")
      .option("--random <seed>", "draw a plan of faults from a seed", integerArgument)
      .option("--count <n>", "how many faults --random draws (16)", countArgument(1));
  },
  async run(context, { args: [image = ""], options }) {
    if (options.latent === true && (options.fault !== "poison" || options.off === true)) {
      throw new RangeError("Cannot use --latent: want it with --fault poison, turned on");
    }
    const source = wantedPlan(options);
    const control = await serverOf(image);
    if (control !== undefined) return injectServed(context, control, { image, options, source });
    const device = await openSimulated(image);
    try {
      if (source !== undefined) return await injectPlan(context, { device, source, image });
      const ranges = await wantedRanges(image, options, device.size);
      const done = await injectAll(context, { device, ranges, options });
      await device.flush();
      const totals = device.poison.totals();
      return injected(context, { image, options, ranges: done, totals });
    } finally {
      await device.close();
    }
  },
};

/** What is told of an injection. */
function injected(
  context: CommandContext,
  done: Pick<InjectAnswer, "ranges" | "totals"> & {
    readonly image: string;
    readonly options: InjectOptions;
  },
): CommandResult {
  const { image, ranges, totals } = done;
  const { fault, latent = false, off = false } = done.options;
  const bytes = ranges.reduce((sum, range) => sum + range.length, 0);
  const about = { target: image, fault, on: !off, latent, bytes, totals, ranges };
  return {
    exitCode: 0,
    document: { schema: "theriac.inject/1", ...about },
    text: () =>
      formatTotals(totals, context.style, {
        [off ? `${fault} ended` : `${fault} injected`]: bytes,
      }),
  };
}

/** The same by the server of an image that is served. */
async function injectServed(
  context: CommandContext,
  control: ControlClient,
  work: {
    readonly image: string;
    readonly options: InjectOptions;
    readonly source: PlanSource | undefined;
  },
): Promise<CommandResult> {
  const { image, options, source } = work;
  try {
    if (source !== undefined) return await injectPlanServed(context, control, { image, source });
    const { size } = await control.status();
    const { fault, latent = false, off = false } = options;
    const ranges = await wantedRanges(image, options, size);
    const answer = await control.inject({ ranges, fault, latent, on: !off });
    return injected(context, { image, options, ...answer });
  } finally {
    control.close();
  }
}

async function openSimulated(image: string): Promise<FaultyDevice> {
  const device = await openImage(image, { access: "write" });
  if (isFaulty(device)) return device;
  await device.close();
  const wish = isStackPath(image)
    ? "not all of it stands on simulated images"
    : isNbdUri(image)
      ? "NBD has no word for it: inject where the image is"
      : `it is no simulated image: theriac create ${image} --adopt makes it one`;
  throw new StorageError("EOPNOTSUPP", `Cannot inject into ${image}: ${wish}`, {
    path: image,
    syscall: "inject",
  });
}

/** Every range that was asked for, checked before the first is touched. */
async function wantedRanges(
  image: string,
  options: InjectOptions,
  size: number,
): Promise<readonly ByteRange[]> {
  const { at = [], length = [], fromList } = options;
  const listed = fromList === undefined ? [] : (await readPoisonList(fromList, size)).ranges;
  const bad = listed.filter(({ state }) => state === "poisoned" || state === "lost");
  if (at.length === 0 && fromList === undefined) {
    throw new RangeError(
      `Cannot inject into ${image}: want --at OFFSET --length SIZE, or --from-list FILE`,
    );
  }
  if (at.length > 0 && length.length !== at.length && length.length !== 1) {
    throw new RangeError(
      `Cannot pair --at and --length: want one --length, or one for each --at: got ${at.length} and ${length.length}`,
    );
  }
  const given = at.map((offset, index) => ({ offset, length: length[index] ?? length[0] ?? 0 }));
  for (const range of given) {
    checkRange(range, size);
    if (range.length === 0)
      throw new RangeError(`Cannot inject at ${range.offset}: want a length above 0`);
  }
  return [...given, ...bad.map(({ offset, length: bytes }) => ({ offset, length: bytes }))];
}

/** What is injected where. */
interface Injection {
  readonly device: FaultyDevice;
  readonly ranges: readonly ByteRange[];
  readonly options: InjectOptions;
}

/** Injects range by range; a signal ends it between two, and what was injected stays. @returns the ranges as rounded out */
async function injectAll(context: CommandContext, injection: Injection): Promise<ByteRange[]> {
  const { device, ranges, options } = injection;
  const done: ByteRange[] = [];
  for (const range of ranges) {
    await context.checkpoint();
    context.progress.report({
      phase: "injecting",
      done: done.length,
      total: ranges.length,
      unit: "items",
    });
    if (options.fault === "poison" && options.off !== true) {
      done.push(device.inject(range, { latent: options.latent ?? false }));
      continue;
    }
    device.setFault({ ...range, kind: options.fault, on: options.off !== true });
    done.push(range);
  }
  return done;
}
