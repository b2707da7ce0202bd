/** theriac salvage: every clean byte out, with a map. */
import { Option, type Command } from "commander";
import {
  fileOfTarget,
  findDamage,
  missingBytes,
  openSource,
  POLICIES,
  readDomain,
  salvage as salvageTo,
  usedSpace,
  wholeTarget,
  type Limits,
  type Policy,
  type Salvaged,
  type SalvageOptions,
  type SalvageSource,
  type Target,
} from "../../rescue/index.ts";
import { formatSize } from "../../base/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import { countArgument, integerArgument, sizeArgument } from "../arguments.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";
import { addPoisonOption, type PoisonOption } from "./shared-options.ts";

interface Options extends PoisonOption {
  readonly map?: string;
  readonly file?: string;
  readonly direct?: boolean;
  readonly policy?: Policy;
  readonly retries?: number;
  readonly domain?: string;
  readonly usedFirst?: boolean;
  readonly hash?: boolean;
  readonly adopt?: boolean;
  readonly rate?: number;
  readonly readTimeout?: number;
  readonly maxBadBytes?: number;
  readonly maxBadAreas?: number;
  readonly minRate?: number;
  readonly timeout?: number;
}

/** The verb. */
export const salvage: CommandModule<Options> = {
  configure(command: Command) {
    addPoisonOption(
      command
        .argument(
          "<source>",
          "an image, a stack, a whole disk or one file system, or a block device",
        )
        .argument("<out>", "the output; must not exist, unless an earlier run is continued"),
    )
      .option("--map <file>", "ddrescue mapfile of what is in the output (default: OUT.map)")
      .option("--file <path>", "one file of the image, by its path there")
      .option("--domain <map>", "only what this mapfile calls finished")
      .option("--used-first", "what file systems use before what is free")
      .option("--hash", "keep hashes of what is salvaged, in MAP.hashes")
      .option(
        "--adopt",
        "go on with a map of ddrescue, once the output was compared with the source",
      );
    addLiveOptions(command);
  },
  async run(context, { args: [source = "", out = ""], options }) {
    const { poison, direct, readTimeout } = options;
    const target = await openSource(source, {
      ...(poison === undefined ? {} : { poison }),
      ...(direct === undefined ? {} : { direct }),
      ...(readTimeout === undefined ? {} : { limitMs: readTimeout * 1000 }),
    });
    try {
      const file = options.file ?? target.live?.file;
      const what = file === undefined ? wholeTarget(target) : await fileOfTarget(target, file);
      checkAttempts(what, options);
      const result = await salvageTo(what, out, {
        ...(await choices(target, options, what.size)),
        onProgress: (event) => context.progress.show(event),
        checkpoint: () => context.checkpoint(),
      });
      await target.device.flush();
      const totals = target.device.poison.totals();
      // What came before it went bad is in the output.
      const missing =
        file === undefined ? missingBytes(await findDamage(target), result.holes) : result.bad;
      const document = {
        schema: "theriac.salvage/1",
        target: source,
        file: file ?? null,
        output: out,
        ...result,
        missing,
        totals,
      };
      return {
        exitCode: missing > 0 || result.left > 0 ? 1 : 0,
        document,
        text: () => describe(context, { result, totals, out }),
      };
    } finally {
      await target.close();
    }
  },
};

/** Options that mean nothing where a source is not read by attempts. */
const OF_ATTEMPTS = [
  ["retries", "--retries"],
  ["rate", "--rate"],
  ["readTimeout", "--read-timeout"],
  ["maxBadBytes", "--max-bad-bytes"],
  ["maxBadAreas", "--max-bad-areas"],
  ["minRate", "--min-rate"],
  ["timeout", "--timeout"],
] as const;

/** @throws {RangeError} where an option would be left aside in silence */
function checkAttempts(source: SalvageSource, options: Options): void {
  const { policy = "listed" } = options;
  const byAttempts = source.failure !== undefined || policy !== "listed";
  if (source.attempts !== undefined && byAttempts) return;
  const given = OF_ATTEMPTS.find(([name]) => options[name] !== undefined);
  if (given === undefined && (source.attempts !== undefined || options.policy === undefined))
    return;
  const flag = given?.[1] ?? "--policy";
  throw new RangeError(
    `Cannot take ${flag}: want a source that is read by attempts: a block device, --direct, or --policy cheap or costly, and no --file`,
  );
}

/** What only a source has that is read by attempts. */
function addLiveOptions(command: Command): void {
  command
    .option("--direct", "read a file past the page cache, as a block device is")
    .addOption(
      new Option(
        "--policy <policy>",
        "what a failed read costs: listed ranges are never touched, cheap ones halved, costly ones left fast (default: by the device)",
      ).choices(POLICIES),
    )
    .option("--retries <n>", "passes over what is bad; listed ranges come last", integerArgument)
    .option("--rate <size>", "bytes to read in a second at most", sizeOfRate)
    .option("--read-timeout <s>", "seconds that one read may take (default: 60)", countArgument(1))
    .option("--max-bad-bytes <size>", "end when more is bad", sizeArgument)
    .option("--max-bad-areas <n>", "end when more ranges are bad", integerArgument)
    .option("--min-rate <size>", "end when less comes in a second", sizeOfRate)
    .option("--timeout <s>", "end when nothing came for so many seconds", countArgument(1));
}

function sizeOfRate(text: string): number {
  const size = sizeArgument(text);
  return size > 0 ? size : countArgument(1)(text);
}

/** What the options say, as the library takes it. */
async function choices(target: Target, options: Options, size: number): Promise<SalvageOptions> {
  const { map, policy, retries, hash, adopt } = options;
  return {
    ...(map === undefined ? {} : { map }),
    ...(policy === undefined ? {} : { policy }),
    ...(retries === undefined ? {} : { retries }),
    ...(hash === undefined ? {} : { hash }),
    ...(adopt === undefined ? {} : { adopt }),
    ...(options.domain === undefined ? {} : { domain: readDomain(options.domain, size) }),
    ...(options.usedFirst === true && options.file === undefined
      ? { first: await usedSpace(target) }
      : {}),
    limits: limitsOf(options),
  };
}

function limitsOf({ rate, maxBadBytes, maxBadAreas, minRate, timeout }: Options): Limits {
  return {
    ...(rate === undefined ? {} : { rate }),
    ...(maxBadBytes === undefined ? {} : { maxBadBytes }),
    ...(maxBadAreas === undefined ? {} : { maxBadAreas }),
    ...(minRate === undefined ? {} : { minRate }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
  };
}

function* describe(
  context: CommandContext,
  told: { result: Salvaged; totals: PoisonTotals; out: string },
): Generator<string> {
  const { result, totals, out } = told;
  const { reads, left } = result;
  const holes = result.holes.length;
  yield `${context.style.bold(printable(out))}: ${result.salvaged} of ${result.size} bytes`;
  yield holes === 0
    ? ", all of it\n"
    : `, ${holes} ${holes === 1 ? "hole" : "holes"} (${result.bad} bytes${left > 0 ? `, and ${left} not tried to the end` : ""})\n`;
  yield `map ${printable(result.map)}${result.resumed > 0 ? `, ${result.resumed} bytes from an earlier run` : ""}\n`;
  if (reads !== undefined) {
    yield `${reads.reads} reads, ${reads.failed} failed`;
    if (reads.slow > 0) yield `, ${reads.slow} took too long`;
    const transient = reads.transient.reduce((sum, { length }) => sum + length, 0);
    yield transient > 0 ? `; ${formatSize(transient)} failed once and then came\n` : "\n";
    if (reads.stopped !== null) yield `${context.style.red("ended early")}: ${reads.stopped}\n`;
  }
  yield formatTotals(totals, context.style, { salvaged: result.salvaged, holes: result.bad });
}
