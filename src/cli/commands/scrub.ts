/** theriac scrub: reads everything once, so that what is latent becomes known and what is good is known to be good. */
import { formatSize } from "../../base/index.ts";
import { scrub as scrubDevice } from "../../device/index.ts";
import { resyncMirrors } from "../../mapper/index.ts";
import { describeTarget, survey } from "../../rescue/index.ts";
import type { CommandModule } from "../command.ts";
import { openListed } from "../open-listed.ts";
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
    const { device, notes } = await openListed(image, { ...options, access: "write" });
    for (const note of notes) context.warn(note);
    try {
      const resynced =
        options.resync === true
          ? await resyncMirrors(device, { signal: context.signal })
          : undefined;
      const result = await scrubDevice(device, {
        signal: context.signal,
        onProgress: (event) => context.progress.show(event),
      });
      context.signal.throwIfAborted();
      // only now: a map that was opened before would remember metadata that the scrub found to be bad
      const surveyed = await survey(await describeTarget(device, { path: image }));
      const { found, foundBytes, totals } = result;
      const { missing } = surveyed;
      return {
        exitCode: missing > 0 ? 1 : 0,
        document: {
          schema: "theriac.scrub/1",
          target: image,
          totals,
          foundBytes,
          missing,
          found,
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
    } finally {
      await device.close();
    }
  },
};
