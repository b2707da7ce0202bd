/** any-text: what `--poison FILE` takes: any of the texts, told apart by what is in it. */
import { parseBadblocks } from "./badblocks.ts";
import { parseCxl } from "./cxl-json.ts";
import { parseMapfile } from "./mapfile.ts";
import { parseNdctl } from "./ndctl-json.ts";
import type { ParsedList, ParseOptions, PoisonFormat } from "./parsed-list.ts";

/**
 * Which text this is. JSON is cxl's where it names `media_errors` or a `memdev`, else ndctl's; a first line of two
 * numbers is sysfs badblocks, and so is an empty text (a clean device); anything else is a map, whose parser says what is wrong.
 */
export function detectPoisonFormat(text: string): PoisonFormat {
  const first = /^\s*([^\s])/.exec(text)?.[1];
  if (first === undefined) return "badblocks";
  if (first === "{" || first === "[")
    return /"(?:media_errors|memdev)"\s*:/.test(text) ? "cxl" : "ndctl";
  return /^\s*\d+[ \t]+\d+[ \t\r]*(?:\n|$)/.test(text) ? "badblocks" : "mapfile";
}

/**
 * Reads any of the texts.
 *
 * @throws {StorageError} EBADMSG with the place, what stands there and what should
 */
export async function parsePoisonText(text: string, options: ParseOptions): Promise<ParsedList> {
  const format = detectPoisonFormat(text);
  if (format === "badblocks") return parseBadblocks(text, options);
  if (format === "mapfile") return parseMapfile(text, options);
  return format === "ndctl" ? parseNdctl(text, options) : parseCxl(text, options);
}
