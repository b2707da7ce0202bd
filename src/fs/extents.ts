/** Extents: what all file systems do with the extents of a file: holes between them, and the part that is asked for. */
import type { Extent, ExtentOptions } from "./file-map.ts";

/** Extents by ascending offset, each gap up to `end` filled with a hole; of two that overlap the first one counts. */
export function fillHoles(parts: readonly Extent[], end: number): Extent[] {
  const sorted = [...parts].sort((one, other) => one.offset - other.offset);
  const filled: Extent[] = [];
  let at = 0;
  for (const part of sorted) {
    if (part.offset + part.length <= at) continue;
    if (part.offset > at) filled.push({ offset: at, length: part.offset - at, kind: "hole" });
    filled.push(clip(part, at, Number.MAX_SAFE_INTEGER));
    at = part.offset + part.length;
  }
  if (at < end) filled.push({ offset: at, length: end - at, kind: "hole" });
  return filled;
}

/** The part of an extent inside `[start, end)`. */
function clip(extent: Extent, start: number, end: number): Extent {
  const from = Math.max(start, extent.offset);
  const to = Math.min(end, extent.offset + extent.length);
  const device =
    extent.device === undefined ? {} : { device: extent.device + (from - extent.offset) };
  return { ...extent, offset: from, length: to - from, ...device };
}

/** Joins neighbours that continue each other in the file and on the volume. */
function join(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = [];
  for (const extent of extents) {
    const last = joined.at(-1);
    const continues =
      last !== undefined &&
      last.kind === extent.kind &&
      last.why === extent.why &&
      last.shared === extent.shared &&
      (last.device === undefined
        ? extent.device === undefined
        : last.device + last.length === extent.device);
    if (continues) joined[joined.length - 1] = { ...last, length: last.length + extent.length };
    else joined.push(extent);
  }
  return joined;
}

/** The part of a file's extents that is asked for, as `FileMap.extents` promises it; `size` is the file's. */
export function cutExtents(
  all: readonly Extent[],
  size: number,
  options: ExtentOptions,
): readonly Extent[] {
  const start = options.offset ?? 0;
  const last = all.at(-1);
  const limit =
    options.pastEnd === true ? (last === undefined ? 0 : last.offset + last.length) : size;
  const end = Math.min(limit, start + (options.length ?? Number.MAX_SAFE_INTEGER));
  const wanted = all.filter(
    (extent) => extent.offset < end && extent.offset + extent.length > start,
  );
  return join(wanted.map((extent) => clip(extent, start, end)));
}

/** All of a file, or the part that is asked for, as one extent that cannot be told. */
export function unknownExtent(why: string, options: ExtentOptions): readonly Extent[] {
  const offset = options.offset ?? 0;
  const length = Math.min(
    options.length ?? Number.MAX_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER - offset,
  );
  return length > 0 ? [{ offset, length, kind: "unknown", why }] : [];
}
