/** part-errors: a failure of the device that keeps a part, told in the target's offsets. */
import { intersect, MediaError, type BadRange, type MaybePromise } from "../../../base/index.ts";
import { rescued } from "./steps.ts";
import type { PlacedPart } from "./bad-parts.ts";

/** Runs a call on a part; what the medium refuses is told of the target `name`. */
export function inTarget<T>(
  placed: PlacedPart,
  name: string,
  call: () => MaybePromise<T>,
): MaybePromise<T> {
  return rescued(call, (error) => {
    throw errorInTarget(error, placed, name);
  });
}

/** A failure on a part as one of the target; what is no failure of the medium stays as it is. */
export function errorInTarget(error: unknown, placed: PlacedPart, name: string): unknown {
  if (!(error instanceof MediaError)) return error;
  const { part, at } = placed;
  const { syscall, path } = error;
  const inside = error.ranges.flatMap((range): BadRange[] => {
    const both = intersect(range, part);
    if (both === undefined) return [];
    return [{ offset: both.offset - part.offset + at, length: both.length, state: range.state }];
  });
  const whole: BadRange = { offset: at, length: part.length, state: "poisoned" };
  return new MediaError(error.message.replace(/^EIO: /, ""), {
    device: name,
    ranges: inside.length === 0 ? [whole] : inside,
    cause: error,
    ...(syscall === undefined ? {} : { syscall }),
    ...(path === undefined ? {} : { path }),
  });
}
