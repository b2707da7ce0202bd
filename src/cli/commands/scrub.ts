/** theriac scrub: reads everything once, so that what is latent becomes known and what is good is known to be good. */
import { difference, formatSize, RangeSet } from "../../base/index.ts";
import { scrub as scrubDevice } from "../../device/index.ts";
import { resyncMirrors } from "../../mapper/index.ts";
import type { ControlClient, ScrubAnswer } from "../../nbd/index.ts";
import { blockNodeOf, nodeFiles } from "../../os/index.ts";
import {
  describeTarget,
  listedDevice,
  ndctlScrub,
  openTarget,
  readDeviceLists,
  survey,
} from "../../rescue/index.ts";
import type { CommandContext, CommandModule, CommandResult } from "../command.ts";
import { openListed } from "../open-listed.ts";
import { serverOf } from "../served-image.ts";
import { formatTotals } from "../totals.ts";
import { addPoisonOption } from "./shared-options.ts";

interface ScrubOptions {
  readonly poison?: string;
  readonly resync?: boolean;
}

/** `theriac scrub IMAGE` */
export const scrub: CommandModule<ScrubOptions> = {
  configure(command) {
    command.argument("<image>", "a raw image, a disk, or one file system");
    addPoisonOption(command);
    command.option("--resync", "make the legs of mirrors in a stack alike first");
  },
  async run(context, { args: [image = ""], options }) {
    if (nodeFiles.info(image)?.kind === "block") return await scrubLive(context, image, options);
    const server = options.poison === undefined ? await serverOf(image) : undefined;
    if (server !== undefined) return scrubServed(context, server, { image, options });
    const { device, notes } = await openListed(image, { ...options, access: "write" });
    for (const note of notes) context.warn(note);
    try {
      const resynced =
        options.resync === true
          ? await resyncMirrors(device, {
              signal: context.signal,
              onProgress: (done, total) =>
                context.progress.report({ phase: "resyncing", done, total }),
            })
          : undefined;
      const result = await scrubDevice(device, {
        signal: context.signal,
        onProgress: (event) => context.progress.show(event),
      });
      context.signal.throwIfAborted();
      // only now: a map that was opened before would remember metadata that the scrub found to be bad
      const { missing } = await survey(await describeTarget(device, { path: image }));
      return scrubbed(context, image, { ...result, missing, resynced });
    } finally {
      await device.close();
    }
  },
};

type Resynced = Awaited<ReturnType<typeof resyncMirrors>>;

/** What is told of a scrub. */
function scrubbed(
  context: CommandContext,
  image: string,
  result: ScrubAnswer & { readonly resynced?: Resynced | undefined },
): CommandResult {
  const { found, foundBytes, totals, missing, resynced } = result;
  const about = { target: image, totals, foundBytes, missing, found };
  return {
    exitCode: missing > 0 ? 1 : 0,
    document: {
      schema: "theriac.scrub/1",
      ...about,
      ...(resynced === undefined ? {} : { resync: resynced }),
    },
    text: () =>
      (resynced === undefined
        ? ""
        : `legs of ${resynced.mirrors} mirrors: ${formatSize(resynced.copied)} copied, ${formatSize(resynced.healed)} healed, ${formatSize(resynced.left)} still apart\n`) +
      formatTotals(totals, context.style, {
        "newly found": foundBytes,
        "data missing": missing,
      }) +
      (missing > 0
        ? `${context.style.red(`${formatSize(missing)} of data are missing`)}: theriac survey says of which files\n`
        : ""),
  };
}

/** A device of this machine: its firmware searches, and the kernel's list is told. Nothing is written. */
async function scrubLive(
  context: CommandContext,
  path: string,
  options: ScrubOptions,
): Promise<CommandResult> {
  if (options.resync === true)
    throw new RangeError(`Cannot use --resync: ${path} is a device of this machine`);
  const node = blockNodeOf(path);
  const before = await readDeviceLists(listedDevice(path)?.sources ?? []);
  if (node !== undefined) await ndctlScrub(node, { signal: context.signal });
  const { ranges } = await readDeviceLists(listedDevice(path)?.sources ?? []);
  const news = difference(RangeSet.from(ranges), RangeSet.from(before.ranges));
  const target = await openTarget(path);
  try {
    for (const note of target.notes ?? []) context.warn(note);
    const { missing, totals } = await survey(target);
    const found = [...news].slice(0, 1000);
    return scrubbed(context, path, { found, foundBytes: news.byteLength, totals, missing });
  } finally {
    await target.close();
  }
}

/** The same by the server of an image that is served, while its clients go on. */
async function scrubServed(
  context: CommandContext,
  server: ControlClient,
  { image, options }: { readonly image: string; readonly options: ScrubOptions },
): Promise<CommandResult> {
  try {
    if (options.resync === true)
      throw new RangeError(`Cannot use --resync: ${image} is served; end its server first`);
    const result = await server.scrub({
      signal: context.signal,
      onProgress: (done, total) => context.progress.report({ phase: "reading", done, total }),
    });
    return scrubbed(context, image, result);
  } finally {
    server.close();
  }
}
