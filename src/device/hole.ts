/** hole: how much of a sparse image need not be read, because no medium holds it and it reads as zeros for sure. */
import type { PoisonView } from "../poison/index.ts";
import type { Media } from "./media.ts";

/** Bytes from `offset` on that are a hole of the medium, up to the first one that the list calls bad; 0 where there is none. */
export function goodHole(media: Media, view: PoisonView, offset: number): number {
  const length = offset < media.size ? (media.holeFrom?.(offset) ?? 0) : 0;
  if (length === 0 || view.empty) return length;
  for (const bad of view.bad({ offset, length })) return Math.max(0, bad.offset - offset);
  return length;
}

/**
 * The part of a hole that a reader of pieces of `step` bytes may skip: whole pieces, or all that there is.
 *
 * @param device something that knows its holes, and its bytes
 */
export function skippable(
  device: { readonly size: number; holeFrom?(offset: number): number },
  offset: number,
  step: number,
): number {
  const hole = device.holeFrom?.(offset) ?? 0;
  return offset + hole >= device.size ? hole : hole - (hole % step);
}
