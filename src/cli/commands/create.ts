/** theriac create: makes an image that fails as it is told, or puts a list beside an image that is there. */
import { Option } from "commander";
import { formatSize } from "../../base/index.ts";
import {
  adoptImage,
  CLEAR_KINDS,
  createImage,
  isNbdUri,
  type ClearKind,
  type ImageSettings,
} from "../../device/index.ts";
import { isStackPath } from "../../mapper/index.ts";
import { listFor } from "../../rescue/index.ts";
import { countArgument, powerOfTwoArgument, sizeArgument } from "../arguments.ts";
import type { CommandModule } from "../command.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";

interface CreateOptions {
  readonly size?: number;
  readonly adopt?: boolean;
  readonly poisonUnit?: number;
  readonly clearUnit?: number;
  readonly pageSize?: number;
  readonly clear?: ClearKind;
  readonly slowMs?: number;
}

/** `theriac create IMAGE --size 256M` */
export const create: CommandModule<CreateOptions> = {
  configure(command) {
    command
      .argument("<image>", "the file to make")
      .option("--size <size>", "bytes of the new image", sizeArgument)
      .option("--adopt", "take a raw file that is there, as it is")
      .option("--poison-unit <size>", "smallest range that fails (64)", powerOfTwoArgument)
      .option("--clear-unit <size>", "smallest range that can be cleared (256)", powerOfTwoArgument)
      .option("--page-size <size>", "bytes of a page (4096)", powerOfTwoArgument)
      .addOption(new Option("--clear <kind>", "how poison ends (firmware)").choices(CLEAR_KINDS))
      .option("--slow-ms <ms>", "what a read of a slow zone takes longer (50)", countArgument(0));
  },
  async run(context, { args: [image = ""], options }) {
    const { size, adopt } = options;
    if ((size === undefined) === (adopt !== true)) {
      throw new RangeError(
        "Cannot create: want either --size SIZE for a new image, or --adopt for one that is there",
      );
    }
    if (isStackPath(image))
      throw new RangeError(`Cannot create ${image}: a name that ends in .stack is a stack's`);
    if (isNbdUri(image))
      throw new RangeError(`Cannot create ${image}: want a path, and not where a server is`);
    const settings = settingsOf(options);
    // Looked for before there is a list: the holes of a salvage's output are no data.
    const holes = size === undefined ? await listFor(image, undefined) : undefined;
    const device =
      size === undefined ? adoptImage(image, settings) : createImage(image, { size, ...settings });
    try {
      if (holes !== undefined) device.takeList(holes.ranges, { remember: true });
      for (const note of holes?.notes ?? []) context.warn(note);
      const { capabilities, identity } = device;
      const totals = device.poison.totals();
      const { poisonUnit: unit, clearUnit: clears, pageSize: page, clear: kind } = capabilities;
      return {
        exitCode: 0,
        document: {
          schema: "theriac.create/1",
          target: image,
          uuid: identity.uuid,
          capabilities,
          totals,
        },
        text: () =>
          `${printable(image)}: ${formatSize(totals.total)}, poison unit ${unit}, clear unit ${clears}, page ${page}, clear ${kind}\n${formatTotals(totals, context.style)}`,
      };
    } finally {
      device.close();
    }
  },
};

/** What was asked for of the image; what was not is the device's default. */
function settingsOf(options: CreateOptions): Partial<ImageSettings> {
  const { poisonUnit, clearUnit, pageSize, clear, slowMs } = options;
  return {
    ...(poisonUnit === undefined ? {} : { poisonUnit }),
    ...(clearUnit === undefined ? {} : { clearUnit }),
    ...(pageSize === undefined ? {} : { pageSize }),
    ...(clear === undefined ? {} : { clear }),
    ...(slowMs === undefined ? {} : { slowMs }),
  };
}
