/** inject-plan: what `theriac inject` does where it is given a plan of faults, or draws one. */
import {
  applyFaultPlan,
  drawFaultPlan,
  parseFaultPlan,
  type FaultPlan,
  type FaultyDevice,
} from "../../device/index.ts";
import type { ControlClient, InjectAnswer } from "../../nbd/index.ts";
import { nodeFiles } from "../../os/index.ts";
import { StorageError } from "../../base/index.ts";
import type { CommandContext, CommandResult } from "../command.ts";
import { formatTotals } from "../totals.ts";

/** Longest plan that is read: a million faults. */
const MAX_TEXT = 128 * 1024 * 1024;

/** Where a plan comes from. */
export type PlanSource =
  | { readonly file: string }
  | { readonly seed: number; readonly count: number };

interface PlanOptions {
  readonly at?: readonly number[];
  readonly length?: readonly number[];
  readonly fromList?: string;
  readonly fault: string;
  readonly latent?: boolean;
  readonly off?: boolean;
  readonly plan?: string;
  readonly random?: number;
  readonly count?: number;
}

/** The plan that options ask for; `undefined` where they ask for none. @throws {RangeError} if they ask for something else too */
export function wantedPlan(options: PlanOptions): PlanSource | undefined {
  const { plan, random, count, at, length, fromList, fault, latent, off } = options;
  if (count !== undefined && random === undefined)
    throw new RangeError("Cannot use --count: want it with --random");
  if (plan === undefined && random === undefined) return undefined;
  const others = [at, length, fromList, latent, off].some((value) => value !== undefined);
  if (others || fault !== "poison" || (plan !== undefined && random !== undefined)) {
    throw new RangeError(
      "Cannot inject: want --plan FILE or --random SEED alone: a plan says it all",
    );
  }
  return plan === undefined ? { seed: random ?? 0, count: count ?? 16 } : { file: plan };
}

/** Applies a plan, and answers with it, so that it can be stored and applied again. */
export async function injectPlan(
  context: CommandContext,
  work: { readonly device: FaultyDevice; readonly source: PlanSource; readonly image: string },
): Promise<CommandResult> {
  const { device, source, image } = work;
  const plan = "file" in source ? readPlan(source.file) : drawFaultPlan(device, source);
  const ranges = await applyFaultPlan(device, plan);
  return followed(context, image, { plan, ranges, totals: device.poison.totals() });
}

/** The same by the server of an image that is served. */
export async function injectPlanServed(
  context: CommandContext,
  control: ControlClient,
  { source, image }: { readonly source: PlanSource; readonly image: string },
): Promise<CommandResult> {
  const plan = "file" in source ? { text: readText(source.file) } : source;
  return followed(context, image, await control.follow(plan));
}

function followed(context: CommandContext, image: string, answer: InjectAnswer): CommandResult {
  const { plan, ranges, totals } = answer;
  const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  return {
    exitCode: 0,
    document: { schema: "theriac.inject/1", target: image, plan, bytes, totals, ranges },
    text: () =>
      formatTotals(totals, context.style, {
        [`${plan?.faults.length ?? 0} faults injected`]: bytes,
      }),
  };
}

function readPlan(path: string): FaultPlan {
  return parseFaultPlan(readText(path), path);
}

function readText(path: string): string {
  const file = nodeFiles.open(path);
  try {
    const size = file.size();
    if (size > MAX_TEXT) {
      throw new StorageError(
        "EBADMSG",
        `Cannot read ${path}: want at most ${MAX_TEXT} bytes: got ${size}`,
        {
          path,
        },
      );
    }
    const bytes = new Uint8Array(size);
    const count = file.readSync(bytes, 0);
    return new TextDecoder().decode(bytes.subarray(0, count));
  } finally {
    file.close();
  }
}
