/** theriac watch: follows lists of bad ranges, and tells, hands on or repairs what changes. */
import { InvalidArgumentError, Option, type Command } from "commander";
import {
  formatTextfile,
  watch as watchTargets,
  writeTextfile,
  type TargetStatus,
  type WatchEvent,
  type WatchOptions,
} from "../../rescue/index.ts";
import { countArgument, several } from "../arguments.ts";
import type { CommandContext, CommandModule, CommandResult } from "../command.ts";
import { serverOf } from "../served-image.ts";
import { EventCommands } from "./watch-commands.ts";
import { HealthMonitor } from "./watch-health.ts";
import { logSource } from "./watch-log.ts";
import { standingRepair } from "./watch-repair.ts";
import { eventLine } from "./watch-text.ts";

interface Options {
  readonly interval: number;
  readonly once?: boolean;
  readonly owners: boolean;
  readonly events: "auto" | "json" | "text";
  readonly log?: string;
  readonly logDevice?: string;
  readonly ndctlMonitor?: boolean;
  readonly exec?: readonly string[];
  readonly jobs: number;
  readonly execTimeout: number;
  readonly repair?: boolean;
  readonly from?: readonly string[];
  readonly digest?: string;
  readonly prometheus?: string;
}

/** `theriac watch TARGET...` */
export const watch: CommandModule<Options> = {
  configure(command: Command) {
    const word = several((text) => text);
    command
      .argument("<target...>", "images, stacks, exports, block devices, /dev/cxl/memN")
      .option("--interval <s>", "seconds between two looks", secondsArgument, 10)
      .option("--once", "look once, and end with 1 where bytes are bad")
      .option("--no-owners", "do not ask file systems whose bytes they are")
      .addOption(
        new Option("--events <form>", "events as JSON lines or as text for people")
          .choices(["auto", "json", "text"])
          .default("auto"),
      )
      .option("--log <file>", "follow kernel lines too: a file, /dev/kmsg, or - for stdin")
      .option("--log-device <name>", "which device of the log the target is, such as sda")
      .option("--ndctl-monitor", "run ndctl monitor, and tell what it says of memory modules")
      .option("--exec <word>", "run this for each event; again for each further word", word)
      .option("--jobs <n>", "commands at once", countArgument(1), 4)
      .option("--exec-timeout <s>", "seconds that a command may take", secondsArgument, 300)
      .option("--repair", "repair what goes bad, from donors that prove what they have")
      .option("--from <donor...>", "donors for --repair", word)
      .option("--digest <file>", "digests for --repair (theriac digest)")
      .option("--prometheus <file>", "write figures there for node_exporter's textfile collector");
  },
  async run(context, { rest, options }) {
    checkOptions(rest, options);
    const commands = commandsOf(context, options);
    const health =
      options.ndctlMonitor === true
        ? new HealthMonitor((message) => context.warn(message))
        : undefined;
    const session: Session = { statuses: [], count: 0, commands, health };
    // not before the first event is asked for, so that nothing runs that nobody ends
    const events = (): AsyncGenerator<WatchEvent> =>
      eventsOf(context, { paths: rest, options, session });
    if (!context.json) return result(session, options, () => printed(context, events(), options));
    for await (const event of events()) context.tell(`${JSON.stringify(event)}\n`);
    return result(session, options, () => "");
  },
};

/** What a watch comes to. */
interface Session {
  statuses: readonly TargetStatus[];
  count: number;
  readonly commands: EventCommands | undefined;
  readonly health: HealthMonitor | undefined;
}

/** Its end is known only when the last event was printed: so the exit code is asked for then. */
function result(session: Session, options: Options, text: CommandResult["text"]): CommandResult {
  return {
    get exitCode() {
      if (options.once !== true) return 0;
      const { statuses } = session;
      if (statuses.some(({ ranges }) => ranges.poisoned + ranges.lost > 0)) return 1;
      return statuses.some(({ present, failing }) => !present || failing.length > 0) ? 3 : 0;
    },
    document: {
      schema: "theriac.watch/1",
      events: session.count,
      targets: session.statuses,
      ...(session.commands === undefined ? {} : { commands: session.commands.counts }),
    },
    text,
  };
}

async function* printed(
  context: CommandContext,
  events: AsyncGenerator<WatchEvent>,
  options: Options,
): AsyncGenerator<string> {
  const isText = options.events === "text" || (options.events === "auto" && process.stdout.isTTY);
  for await (const event of events)
    yield isText ? eventLine(event, context.style) : `${JSON.stringify(event)}\n`;
}

/** Watches, counts, and hands each event to its command before the next is made. */
async function* eventsOf(
  context: CommandContext,
  on: { readonly paths: readonly string[]; readonly options: Options; readonly session: Session },
): AsyncGenerator<WatchEvent> {
  const { paths, options, session } = on;
  try {
    for await (const event of watchTargets(paths, watchOptions(context, options, session))) {
      session.count += 1;
      await session.commands?.start(event);
      yield event;
    }
  } finally {
    session.health?.close();
    await session.commands?.end();
  }
}

function watchOptions(context: CommandContext, options: Options, session: Session): WatchOptions {
  const { prometheus, log, logDevice, from, digest } = options;
  const checkpoint = (): Promise<void> => context.checkpoint();
  return {
    intervalMs: options.interval * 1000,
    once: options.once === true,
    owners: options.owners,
    signal: context.signal,
    served: servedList,
    takeHealth: () => session.health?.take() ?? [],
    ...(log === undefined ? {} : { log: logSource(log) }),
    ...(logDevice === undefined ? {} : { logDevice }),
    ...(options.repair !== true
      ? {}
      : {
          repair: standingRepair({
            from: from ?? [],
            checkpoint,
            ...(digest === undefined ? {} : { digest }),
          }),
        }),
    onRound(statuses) {
      session.statuses = statuses;
      if (prometheus !== undefined) writeTextfile(prometheus, formatTextfile(statuses));
    },
  };
}

/** The list of an image that is served, as its server has it. */
async function servedList(path: string): ReturnType<NonNullable<WatchOptions["served"]>> {
  const control = await serverOf(path);
  if (control === undefined) return undefined;
  try {
    return await control.list();
  } finally {
    control.close();
  }
}

function commandsOf(context: CommandContext, options: Options): EventCommands | undefined {
  const [program, ...words] = options.exec ?? [];
  if (program === undefined) return undefined;
  return new EventCommands({
    words: [program, ...words],
    jobs: options.jobs,
    timeoutMs: options.execTimeout * 1000,
    warn: (message) => context.warn(message),
  });
}

/** @throws {RangeError} where options do not go together */
function checkOptions(paths: readonly string[], options: Options): void {
  const { repair, from, digest, log, logDevice } = options;
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined) throw new RangeError(`Want each target once: got "${twice}" twice`);
  if (repair === true && from === undefined)
    throw new RangeError("Cannot use --repair: want --from DONOR with it");
  if (repair !== true && (from !== undefined || digest !== undefined))
    throw new RangeError("Cannot use --from and --digest: want --repair with them");
  if (logDevice !== undefined && log === undefined)
    throw new RangeError("Cannot use --log-device: want --log with it");
  const others = paths.filter((path) => !path.startsWith("/dev/"));
  if (logDevice !== undefined && others.length > 1)
    throw new RangeError(
      `Cannot use --log-device: want one target that is no /dev/NAME: got ${others.length}`,
    );
  if (log !== undefined && logDevice === undefined && others.length === paths.length)
    throw new RangeError("Cannot use --log: want --log-device NAME: no target is a /dev/NAME");
}

/** Seconds, also parts of one. */
function secondsArgument(text: string): number {
  const value = /^\d{1,7}(\.\d{1,3})?$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(value > 0)) throw new InvalidArgumentError(`Want seconds above 0: got "${text}"`);
  return value;
}
