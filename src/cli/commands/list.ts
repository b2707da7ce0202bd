/** theriac list: the list of bad ranges, for people or in the form of another program. */
import { Option } from "commander";
import type { Device } from "../../device/index.ts";
import { nodeFiles } from "../../os/index.ts";
import { listedDevice, readDeviceLists, type ListedDevice } from "../../rescue/index.ts";
import {
  formatBadblocks,
  formatCxl,
  formatMapfile,
  formatNdctl,
  PoisonList,
  type PoisonFormat,
  type PoisonView,
  type StateRange,
} from "../../poison/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { openListed } from "../open-listed.ts";
import { createStyle, printable, stateColor } from "../style.ts";
import { serverOf } from "../served-image.ts";
import { formatTotals } from "../totals.ts";
import { addPoisonOption } from "./shared-options.ts";

interface ListOptions {
  readonly format?: PoisonFormat;
  readonly all?: boolean;
  readonly poison?: string;
}

const FORMATS: Readonly<Record<PoisonFormat, (view: PoisonView) => Iterable<string>>> = {
  badblocks: formatBadblocks,
  ndctl: formatNdctl,
  cxl: formatCxl,
  mapfile: formatMapfile,
};

/** `theriac list IMAGE` */
export const list: CommandModule<ListOptions> = {
  configure(command) {
    command
      .argument("<image>", "a raw file, a whole disk, or one file system")
      .addOption(
        new Option("--format <format>", "print the list as another program does").choices(
          Object.keys(FORMATS),
        ),
      )
      .option("--all", "clean and unread ranges too");
    addPoisonOption(command);
  },
  async run(context, { args: [image = ""], options }) {
    const { device, notes } = await listOf(image, options);
    for (const note of notes) context.warn(note);
    const { format, all = false } = options;
    const totals = device.poison.totals();
    const shown = (): Iterable<StateRange> => rangesOf(device, all);
    if (format !== undefined) {
      const text = (): Iterable<string> => FORMATS[format](device.poison);
      const document = { schema: "theriac.list/1", target: image, totals, notes, format };
      return {
        exitCode: 0,
        document: { ...document, text: context.json ? [...text()].join("") : "" },
        text: function* () {
          yield* text();
          context.tell(formatTotals(totals, createStyle(false)));
        },
      };
    }
    const document = { schema: "theriac.list/1", target: image, totals, notes, ranges: shown() };
    return {
      exitCode: 0,
      document,
      text: () => tableOf(context, image, { device, ranges: shown() }),
    };
  },
};

/** A list with the size of what it is of. */
type Listed = Pick<Device, "size" | "poison">;

/** The list of an image: as its server has it at this moment, or from beside it. */
async function listOf(
  image: string,
  options: ListOptions,
): Promise<{ readonly device: Listed; readonly notes: readonly string[] }> {
  const live = options.poison === undefined && isDevice(image) ? listedDevice(image) : undefined;
  if (live !== undefined) return await deviceList(image, live);
  const control = options.poison === undefined ? await serverOf(image) : undefined;
  if (control === undefined) {
    const { device, notes } = await openListed(image, { ...options, access: "read" });
    // The list outlives the device: it is memory.
    await device.close();
    return { device, notes };
  }
  try {
    const poison = await control.list();
    return { device: { size: poison.size, poison }, notes: [] };
  } finally {
    control.close();
  }
}

function isDevice(path: string): boolean {
  return path.startsWith("/dev/") || nodeFiles.info(path)?.kind === "block";
}

/** The lists of a device of this machine, as one. What they do not name is unread: nobody says that it is clean. */
async function deviceList(
  path: string,
  live: ListedDevice,
): Promise<{ readonly device: Listed; readonly notes: readonly string[] }> {
  const told = await readDeviceLists(live.sources);
  const poison = new PoisonList(told.size ?? live.size);
  for (const range of told.ranges) poison.mark(range, "poisoned");
  for (const range of told.lost) poison.mark(range, "lost");
  const more = told.incomplete ? [`The lists of ${path} are not whole: more may be bad`] : [];
  return { device: { size: poison.size, poison }, notes: [...told.notes, ...more] };
}

function* rangesOf(device: Listed, all: boolean): Generator<StateRange> {
  for (const { offset, length, state } of device.poison.states({
    offset: 0,
    length: device.size,
  })) {
    if (all || state === "poisoned" || state === "lost") yield { offset, length, state };
  }
}

/** One range a line: wide enough for the device's size, so that nothing has to be measured before the first line. */
function* tableOf(
  context: CommandContext,
  image: string,
  shown: { readonly device: Listed; readonly ranges: Iterable<StateRange> },
): Generator<string> {
  const { style } = context;
  const { device, ranges } = shown;
  const width = Math.max(6, String(device.size).length);
  let count = 0;
  for (const { offset, length, state } of ranges) {
    if (count === 0)
      yield `${style.bold(`${"OFFSET".padStart(width)}  ${"LENGTH".padStart(width)}  STATE`)}\n`;
    count += 1;
    const color = stateColor(style, state);
    yield `${String(offset).padStart(width)}  ${String(length).padStart(width)}  ${color(state)}\n`;
  }
  if (count === 0) yield `${printable(image)}: no bad range is known\n`;
  yield formatTotals(device.poison.totals(), style);
}
