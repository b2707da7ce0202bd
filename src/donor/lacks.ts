/** Lacks: what of a range a donor is known not to have, asked cheaply, before a byte is read: so that several donors can share a hole. */
import { endOf, intersect, type BadRange, type ByteRange } from "../base/index.ts";
import type { DonorFile, DonorVolume } from "./donor.ts";

/**
 * What of a range of a file its donor is known to lack: what the file says itself, and what lies behind its end.
 *
 * @returns ascending, apart, inside the range; a read may miss more
 */
export async function knownLacks(file: DonorFile, range: ByteRange): Promise<readonly BadRange[]> {
  const inside = intersect(range, { offset: 0, length: file.size });
  const known = inside === undefined ? [] : ((await file.lacks?.(inside)) ?? []);
  const from = Math.max(range.offset, file.size);
  const behind: BadRange = { offset: from, length: endOf(range) - from, state: "unread" };
  return behind.length > 0 ? [...known, behind] : known;
}

/** The same of a range of a volume, from the list of its device. */
export function knownVolumeLacks(volume: DonorVolume, range: ByteRange): readonly BadRange[] {
  const { poison } = volume.device;
  const lacks: BadRange[] = [];
  const inside = intersect(range, { offset: 0, length: volume.length });
  if (inside !== undefined && !poison.empty) {
    for (const bad of poison.bad({ ...inside, offset: volume.offset + inside.offset }))
      lacks.push({ ...bad, offset: bad.offset - volume.offset });
  }
  const from = Math.max(range.offset, volume.length);
  if (endOf(range) > from)
    lacks.push({ offset: from, length: endOf(range) - from, state: "unread" });
  return lacks;
}
