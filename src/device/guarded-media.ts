/** guardedMedia: a medium whose failed flush is told, because after one nobody knows what of the earlier writes is on the disk. */
import type { ByteRange } from "../base/index.ts";
import type { Media } from "./media.ts";

/** The same medium; `onFailure` hears of every flush that failed, before the caller does. */
export function guardedMedia(media: Media, onFailure: (error: unknown) => void): Media {
  return {
    name: media.name,
    size: media.size,
    capabilities: media.capabilities,
    read: (into, offset) => media.read(into, offset),
    readSync: (into, offset) => media.readSync(into, offset),
    readBack: (into, offset) => media.readBack(into, offset),
    holeFrom: (offset) => media.holeFrom?.(offset) ?? 0,
    write: (from, offset) => media.write(from, offset),
    clear: (range) => media.clear(range),
    storeLine: (line, offset) => media.storeLine?.(line, offset) ?? false,
    flush: () => {
      try {
        media.flush();
      } catch (error) {
        onFailure(error);
        throw error;
      }
    },
    ...(media.staysBad === undefined
      ? {}
      : { staysBad: (range: ByteRange) => media.staysBad?.(range) ?? false }),
    ...(media.memory === undefined ? {} : { memory: media.memory }),
    close: () => media.close(),
  };
}
