/**
 * line-store: a line of 64 bytes stored as one (MOVDIR64B; CXL "clear poison" with data): poison ends and data stands in one step.
 *
 * No intent is needed, and this is why: the line is the whole unit, so there are no neighbours to keep, and a line lies inside one sector,
 * which a crash never tears. Before the flush the list still names the line, so a crash there leaves it bad (R3); it leaves the list only
 * behind the flush (R4). A line that is refused keeps its poison, and nothing of it is presented as good (R5).
 */
import type { ByteRange } from "../base/index.ts";
import type { Media } from "./media.ts";
import { healError, type HealContext } from "./recovery-write.ts";

/** Bytes of a line: what MOVDIR64B stores, and the unit of CXL poison. */
export const LINE = 64;

/**
 * Stores a line and heals it where it is bad, known or latent; durable on return.
 *
 * @throws {MediaError} if the device does not clear and store as one, its poison unit is larger than a line, or it refuses
 */
export function healLine(context: HealContext, line: Uint8Array, offset: number): void {
  const { media, ledger } = context;
  const range = { offset, length: LINE };
  const { clear, poisonUnit } = media.capabilities;
  if (clear !== "atomic" || poisonUnit > LINE || media.storeLine === undefined)
    throw healError(context, range, "the device does not clear and store a line as one");
  if (!media.storeLine(line, offset))
    throw healError(context, range, "the device refuses to clear");
  media.flush();
  const found = new Uint8Array(LINE);
  if (media.readBack(found, offset).length > 0 || Buffer.compare(found, line) !== 0)
    throw healError(context, range, "the bytes read back are not the ones written");
  ledger.mark([{ ...range, state: "clean" }]);
  ledger.sync();
  context.emit({ ...range, kind: "healed" });
}

/** Checks what a caller gave as a line. @throws {RangeError} if it is not 64 bytes at a multiple of 64 */
export function checkLine(line: Uint8Array, offset: number): void {
  if (line.length === LINE && offset % LINE === 0) return;
  throw new RangeError(
    `Cannot store a line: want ${LINE} bytes at a multiple of ${LINE}: got ${line.length} at ${offset}`,
  );
}

/** Whether the medium does not give a line, twice: an error that passes is no poison. */
export function isLatent(media: Media, { offset, length }: ByteRange): boolean {
  const into = new Uint8Array(length);
  return media.readSync(into, offset).length > 0 && media.readSync(into, offset).length > 0;
}
