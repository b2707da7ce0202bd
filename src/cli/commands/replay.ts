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
    const device = await openImage(log);
    try {
      if (options.list === true) return await listEntries({ context, log, device, options });
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

interface Listing {
  readonly context: CommandContext;
  readonly log: string;
  readonly device: Device;
  readonly options: ReplayCommandOptions;
}

/** The entries that a replay would write. */
async function listEntries({ context, log, device, options }: Listing): Promise<CommandResult> {
  const { limit = Infinity, endMark } = options;
  const entries: Listed[] = [];
  if (limit > 0) {
    for await (const entry of readLog(device)) {
      entries.push(listed(entry));
      if (entries.length >= limit || (endMark !== undefined && entry.mark === endMark)) break;
      await context.checkpoint();
    }
  }
  return {
    exitCode: 0,
    document: { schema: "theriac.replay/1", log, list: entries },
    text: function* () {
      for (const { index, offset, length, flags, mark } of entries) {
        const what = mark === undefined ? `${offset} ${length}` : JSON.stringify(printable(mark));
        yield `${index} ${flags.join("+") || "write"} ${what}\n`;
      }
    },
  };
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
