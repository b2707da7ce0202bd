/** theriac replay: writes what a log of dm-log-writes says onto an image, up to a mark or a number of entries; or lists its entries. */
import { formatSize } from "../../base/index.ts";
import type { Device } from "../../device/index.ts";
import { LOG_FLAGS, openImage, readLog, replayLog, type PlacedEntry } from "../../mapper/index.ts";
import { countArgument } from "../arguments.ts";
import type { CommandContext, CommandModule, CommandResult } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";

interface ReplayCommandOptions {
  readonly endMark?: string;
  readonly limit?: number;
  readonly list?: boolean;
}

/** `theriac replay LOG TARGET`, `theriac replay LOG --list` */
export const replay: CommandModule<ReplayCommandOptions> = {
  configure(command) {
    command
      .argument("<log>", "an image or stack that holds the log")
      .argument("[target]", "the image or stack that it is written to")
      .option("--end-mark <text>", "end behind the first mark of this text")
      .option("--limit <n>", "entries at most", countArgument(0))
      .option("--list", "print the entries, and write nothing");
  },
  async run(context, { args: [log = "", target = ""], options }) {
    if ((options.list === true) === (target !== ""))
      throw new RangeError("Cannot replay: want either a target, or --list");
    if (options.list === true) return await listEntries(context, log, options);
    const device = await openImage(log);
    try {
      return await replayOnto(context, { device, log, target, options });
    } finally {
      await device.close();
    }
  },
};

interface Replay {
  readonly log: string;
  readonly device: Device;
  readonly target: string;
  readonly options: ReplayCommandOptions;
}

async function replayOnto(
  context: CommandContext,
  { log, device, target, options }: Replay,
): Promise<CommandResult> {
  const onto = await openImage(target, { access: "write" });
  try {
    const { endMark, limit } = options;
    const result = await replayLog(device, onto, {
      ...(endMark === undefined ? {} : { endMark }),
      ...(limit === undefined ? {} : { limit }),
      onEntry: async (done, total) => {
        context.progress.report({ phase: "replaying", done, total, unit: "items" });
        await context.checkpoint();
      },
    });
    const totals = onto.poison.totals();
    const { entries, total, written, discarded, lastMark } = result;
    const to = lastMark === undefined ? "" : `, last mark ${printable(lastMark)}`;
    const sums = `${entries} of ${total} entries replayed: ${formatSize(written)} written, ${formatSize(discarded)} discarded${to}\n`;
    return {
      exitCode: 0,
      document: { schema: "theriac.replay/1", log, target, ...result, totals },
      text: () => `${sums}${formatTotals(totals, context.style, { written, discarded })}`,
    };
  } finally {
    await onto.close();
  }
}

/** The entries that a replay would write: printed as they are read, for there may be many. */
async function listEntries(
  context: CommandContext,
  log: string,
  options: ReplayCommandOptions,
): Promise<CommandResult> {
  const list: Listed[] = [];
  if (context.json) for await (const entry of entriesOf(context, log, options)) list.push(entry);
  return {
    exitCode: 0,
    document: { schema: "theriac.replay/1", log, list },
    text: async function* () {
      for await (const entry of entriesOf(context, log, options)) yield lineOf(entry);
    },
  };
}

async function* entriesOf(
  context: CommandContext,
  log: string,
  { limit = Infinity, endMark }: ReplayCommandOptions,
): AsyncGenerator<Listed> {
  const device = await openImage(log);
  try {
    if (limit === 0) return;
    for await (const entry of readLog(device)) {
      yield listed(entry);
      if (entry.index + 1 >= limit || (endMark !== undefined && entry.mark === endMark)) return;
      await context.checkpoint();
    }
  } finally {
    await device.close();
  }
}

function lineOf({ index, offset, length, flags, mark }: Listed): string {
  const what = mark === undefined ? `${offset} ${length}` : `"${printable(mark)}"`;
  return `${index} ${flags.join("+") || "write"} ${what}\n`;
}

interface Listed {
  readonly index: number;
  readonly offset: number;
  readonly length: number;
  readonly flags: readonly string[];
  readonly mark: string | undefined;
}

function listed({ index, offset, length, flags, mark }: PlacedEntry): Listed {
  const names = Object.entries(LOG_FLAGS).flatMap(([name, bit]) =>
    (flags & bit) === 0 ? [] : [name],
  );
  return { index, offset, length, flags: names, mark };
}
