/** SalvageMap: a CopyMap as ddrescue's mapfile, read and written. */
import { RangeSet, type ByteRange } from "../../base/index.ts";
import { nodeFiles, type HostFiles } from "../../os/index.ts";
import { formatMapRanges, parseMapRanges, type MapStatus } from "../../poison/index.ts";
import { readText, replaceText } from "../durable-text.ts";
import { CopyMap, MAP_STATUSES } from "./copy-map.ts";

/** Longest map that is read: some ten million blocks. */
const LARGEST = 512 * 1024 * 1024;

/** Replaces the map, durable on return. */
export function writeMap(files: HostFiles, path: string, map: CopyMap): void {
  const left = MAP_STATUSES.find((status) => status !== "-" && map.bytes(status) > 0);
  const status: MapStatus = left ?? "+";
  const [first] = map.of(status);
  const position = status === "+" ? 0 : (first?.offset ?? 0);
  replaceText(files, path, formatMapRanges(map.ranges(), { status, position }));
}

/**
 * Reads a map.
 *
 * @throws {StorageError} EBADMSG where it is no map, or one of another size
 */
export function readCopyMap(files: HostFiles, path: string, size: number): CopyMap {
  const map = new CopyMap(size);
  const text = readText(files, path, LARGEST);
  for (const range of parseMapRanges(text, { size, name: `map "${path}"` }))
    map.set(range, range.status);
  return map;
}

/** Reads of a map only what is finished. @throws {StorageError} EBADMSG where it is no map, or one of another size */
export function readMap(files: HostFiles, path: string, size: number): RangeSet {
  return RangeSet.from(readCopyMap(files, path, size).of("+"));
}

/**
 * What a domain map wants: the ranges that it calls finished.
 *
 * @param size bytes of the source
 * @throws {StorageError} ENOENT and its kin; EBADMSG
 */
export function readDomain(path: string, size: number): readonly ByteRange[] {
  return [...readMap(nodeFiles, path, size)];
}
