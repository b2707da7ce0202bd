/**
 * json-lists: what ndctl and cxl print of a device: `ndctl list -N -M` of the namespace that a pmem disk is, `cxl list -L` of a memory device.
 *
 * A raw namespace's records count from the start of its region and not of the disk (ndctl/json.c), and one in sector mode has a count and no records: neither
 * can be placed, so neither is a list. Where the kernel's own file is there (sysfs), it says the same and is asked first.
 */
import { StorageError, type ByteRange } from "../../base/index.ts";
import type { ProgramRunner } from "../../os/index.ts";
import { parseCxl, parseNdctl, type ParsedList } from "../../poison/index.ts";
import { limited, noAnswer, type ListSource, type SourceAnswer } from "./list-source.ts";

/** The source for a pmem disk: `name` as "pmem1", `size` its bytes. */
export function ndctlList(
  disk: { readonly name: string; readonly size: number },
  run: ProgramRunner,
): ListSource {
  return {
    name: "ndctl",
    async read(signal) {
      const answer = await run(["ndctl", "list", "-N", "-M"], limited(signal));
      if (answer.kind !== "ended" || answer.status !== 0) return noAnswer("ndctl", "ndctl", answer);
      return await parsed("ndctl", () => parseNamespace(answer.stdout.toString("utf8"), disk));
    },
  };
}

/** The source for a memory device: "mem0". Its offsets are device physical addresses. */
export function cxlList(memdev: string, run: ProgramRunner): ListSource {
  return {
    name: "cxl",
    async read(signal) {
      const answer = await run(["cxl", "list", "-m", memdev, "-L"], limited(signal));
      if (answer.kind !== "ended" || answer.status !== 0) return noAnswer("cxl", "cxl", answer);
      const text = answer.stdout.toString("utf8");
      let size: number | string = 0;
      const list = await parsed("cxl", async () => {
        size = memdevSize(text, memdev);
        return typeof size === "string"
          ? size
          : await parseCxl(text, { size, device: memdev, name: "cxl list -L" });
      });
      return "ranges" in list ? { ...list, size } : list;
    },
  };
}

/** Bytes of a memory device as `cxl list` has them; a sentence where it has none. */
export function memdevSize(text: string, memdev: string): number | string {
  const found = objects(text).find((one) => one["memdev"] === memdev);
  if (found === undefined) return `cxl list names no ${memdev}`;
  const bytes = ["pmem_size", "ram_size"].map((key) => Number(found[key] ?? 0));
  const size = bytes.reduce((sum, one) => sum + one, 0);
  return Number.isSafeInteger(size) && size > 0 ? size : `cxl list tells no size of ${memdev}`;
}

async function parseNamespace(
  text: string,
  disk: { readonly name: string; readonly size: number },
): Promise<ParsedList | string> {
  const found = objects(text).find((one) => one["blockdev"] === disk.name);
  if (found === undefined) return `ndctl list names no namespace of ${disk.name}`;
  if (found["mode"] === "raw")
    return "a raw namespace's records count from the start of its region: not placed";
  if (found["mode"] === "sector") return "a namespace in sector mode has no records: not placed";
  return await parseNdctl(JSON.stringify(found), { size: disk.size, name: "ndctl list -M" });
}

/** The objects of the outermost array, or the only one. No text is no object: that is what both print where nothing is. */
function objects(text: string): readonly Record<string, unknown>[] {
  if (text.trim() === "") return [];
  const value = JSON.parse(text) as unknown;
  const list = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  return list.filter((one) => typeof one === "object" && one !== null) as Record<string, unknown>[];
}

/** A list as an answer; what is no list, with its reason. */
async function parsed(
  source: string,
  parse: () => Promise<ParsedList | string>,
): Promise<SourceAnswer> {
  try {
    const list = await parse();
    if (typeof list === "string") return { source, why: list, absent: true };
    const ranges: ByteRange[] = list.ranges.filter(({ state }) => state === "poisoned");
    return { source, ranges, incomplete: list.incomplete, notes: list.notes };
  } catch (error) {
    if (!(error instanceof StorageError || error instanceof SyntaxError)) throw error;
    return { source, why: `Cannot read what ${source} printed: ${error.message}`, absent: false };
  }
}
