/**
 * stack-text: a stack file: what devices are called, and tables over them, in Linux' own words.
 *
 *     # leaves: an image, a segment without recovery, a window onto a part of a file (sectors)
 *     device pmem0 images/pmem0.img
 *     segment rom images/rom.img
 *     window share 2048 4096 host/cache.bin
 *     # volumes, whose tables are read from what their members say of themselves
 *     md raid sda sdb
 *     lvm root vg/root raid
 *     # tables, as `dmsetup table` prints them
 *     data: 0 4096 striped 2 16 pmem0 0 share 0
 *     all: 0 4096 linear data 0
 *     all: 4096 1024 linear rom 0
 *     top all
 *
 * Paths are relative to the stack file; one that ends in `.stack` is the top of that stack. Tables may name each other in any order, in no
 * circle. The top is the last table, else the last volume, or what `top` names. Comments and blank lines are as in table-text.ts. Words hold no space, paths may.
 */
import {
  formatRow,
  meaningOf,
  parseRow,
  sectorNumber,
  tableError,
  type TableRow,
  type TextPlace,
} from "./table-text.ts";

/** A device that is no table. */
export type StackDevice = {
  readonly line: number;
  readonly name: string;
  /** As it was written. */
  readonly path: string;
} & (
  | { readonly kind: "device" | "segment" }
  | {
      readonly kind: "window";
      /** Sectors. */
      readonly start: number;
      /** Sectors. */
      readonly length: number;
    }
);

/** A device whose tables are read from its members. */
export type StackVolume = {
  readonly line: number;
  readonly name: string;
  /** Names of devices, tables or volumes of the same file. */
  readonly members: readonly string[];
} & (
  | { readonly kind: "md" }
  | {
      readonly kind: "lvm";
      /** "VG/LV". */
      readonly volume: string;
    }
);

/** A table with its name. */
export interface StackTable {
  readonly name: string;
  readonly rows: readonly TableRow[];
}

/** A stack file as it was written. */
export interface StackText {
  /** File that it is from. */
  readonly path: string;
  readonly devices: readonly StackDevice[];
  readonly volumes: readonly StackVolume[];
  /** In the order of their first rows. */
  readonly tables: readonly StackTable[];
  /** Name of the top: a table or a volume. */
  readonly top: string;
  /** Whether the file names its top; else it is the last table, else the last volume. */
  readonly namesTop: boolean;
}

/** A stack that is being read. */
interface Draft {
  readonly devices: StackDevice[];
  readonly volumes: StackVolume[];
  readonly tables: Map<string, TableRow[]>;
  /** Line of each name's first mention. */
  readonly names: Map<string, number>;
  top: { readonly name: string; readonly place: TextPlace } | undefined;
}

/**
 * Reads a stack file. What it names is not opened.
 *
 * @param path the file that the text is from
 * @throws {StorageError} EBADMSG with file, line and wish
 */
export function parseStack(text: string, path: string): StackText {
  const draft: Draft = {
    devices: [],
    volumes: [],
    tables: new Map(),
    names: new Map(),
    top: undefined,
  };
  for (const [at, line] of text.split("\n").entries()) {
    const meaning = meaningOf(line);
    if (meaning !== "") parseLine(meaning, { path, line: at + 1 }, draft);
  }
  const tables = [...draft.tables].map(([name, rows]) => ({ name, rows }));
  const { devices, volumes, top } = draft;
  const last = tables.at(-1) ?? volumes.at(-1);
  if (last === undefined)
    throw tableError({ path, line: 1 }, "want at least one table, NAME: START LENGTH TARGET ARGS");
  const isTop = ({ name }: { readonly name: string }): boolean => name === top?.name;
  if (top !== undefined && !tables.some(isTop) && !volumes.some(isTop))
    throw tableError(top.place, `want the name of a table or volume behind top: got "${top.name}"`);
  return {
    path,
    devices,
    volumes,
    tables,
    top: top?.name ?? last.name,
    namesTop: top !== undefined,
  };
}

function parseLine(text: string, place: TextPlace, draft: Draft): void {
  const table = /^(\S+):\s+(.*)$/.exec(text);
  if (table !== null) {
    const [, name = "", row = ""] = table;
    const rows = draft.tables.get(name);
    if (rows === undefined) draft.tables.set(takeName(name, place, draft), []);
    draft.tables.get(name)?.push(parseRow(row, place));
    return;
  }
  const volume = /^(md|lvm)\s+(\S.*)$/.exec(text);
  if (volume !== null) {
    draft.volumes.push(parseVolume(text.split(/\s+/), place, draft));
    return;
  }
  const top = /^top\s+(\S+)$/.exec(text);
  if (top === null) {
    draft.devices.push(parseDevice(text, place, draft));
    return;
  }
  if (draft.top !== undefined)
    throw tableError(place, `want one top: line ${draft.top.place.line} names one too`);
  draft.top = { name: top[1] ?? "", place };
}

function parseVolume(words: readonly string[], place: TextPlace, draft: Draft): StackVolume {
  const { line } = place;
  const [kind, name = "", ...rest] = words;
  const [volume = "", ...behind] = kind === "lvm" ? rest : ["", ...rest];
  if (behind.length === 0 || (kind === "lvm" && !/^[^/]+\/[^/]+$/.test(volume)))
    throw tableError(
      place,
      `want "md NAME MEMBER..." or "lvm NAME VG/LV MEMBER...": got ${JSON.stringify(words.join(" ").slice(0, 80))}`,
    );
  const own = { line, name: takeName(name, place, draft), members: behind };
  return kind === "lvm" ? { kind, ...own, volume } : { kind: "md", ...own };
}

function parseDevice(text: string, place: TextPlace, draft: Draft): StackDevice {
  const { line } = place;
  const plain = /^(device|segment)\s+(\S+)\s+(\S.*)$/.exec(text);
  if (plain !== null) {
    const [, kind, name = "", path = ""] = plain;
    return { kind: kind as "device" | "segment", line, name: takeName(name, place, draft), path };
  }
  const window = /^window\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S.*)$/.exec(text);
  if (window === null)
    throw tableError(
      place,
      `want "device NAME PATH", "segment NAME PATH", "window NAME START LENGTH PATH", "md NAME MEMBER...", "lvm NAME VG/LV MEMBER...", "NAME: START LENGTH TARGET ARGS" or "top NAME": got ${JSON.stringify(text.slice(0, 80))}`,
    );
  const [, name = "", start = "", length = "", path = ""] = window;
  const [first, count] = [sectorNumber(start), sectorNumber(length)];
  if (first === undefined || count === undefined || count === 0)
    throw tableError(
      place,
      `want START and LENGTH of a window in sectors of 512 bytes: got "${start}" and "${length}"`,
    );
  return {
    kind: "window",
    line,
    name: takeName(name, place, draft),
    path,
    start: first,
    length: count,
  };
}

function takeName(name: string, place: TextPlace, draft: Draft): string {
  const before = draft.names.get(name);
  if (before !== undefined)
    throw tableError(place, `want a name of its own: line ${before} is called "${name}" too`);
  draft.names.set(name, place.line);
  return name;
}

/** A stack as text: devices, volumes, tables, top. What `parseStack` reads of it is the same but for line numbers. */
export function formatStack(stack: Omit<StackText, "path">): string {
  const devices = stack.devices.map((device) => {
    const where = device.kind === "window" ? `${device.start} ${device.length} ` : "";
    return `${device.kind} ${device.name} ${where}${device.path}\n`;
  });
  const volumes = stack.volumes.map((volume) => {
    const what = volume.kind === "lvm" ? [volume.volume] : [];
    return `${[volume.kind, volume.name, ...what, ...volume.members].join(" ")}\n`;
  });
  const rows = stack.tables.flatMap(({ name, rows: own }) =>
    own.map((row) => `${name}: ${formatRow(row)}\n`),
  );
  return [...devices, ...volumes, ...rows, ...(stack.namesTop ? [`top ${stack.top}\n`] : [])].join(
    "",
  );
}

/** Sectors of the top, before anything is opened; `undefined` where it is a volume: its members say. */
export function stackSectors(stack: StackText): number | undefined {
  const last = stack.tables.find(({ name }) => name === stack.top)?.rows.at(-1);
  return last === undefined ? undefined : last.start + last.length;
}
