/** dmTable(): the live table of a device-mapper device, as `dmsetup table` prints it, with devices as MAJOR:MINOR. */
import { execFileSync } from "node:child_process";

/** How tables are asked for. */
export interface DmTableOptions {
  /** @default dmsetup(8) is run */
  readonly dmTable?: (name: string) => string | undefined;
}

/** The same options with an answer that is asked for once: dmsetup takes longer than all else, and a table stays while its device is open. */
export function askedOnce<T extends DmTableOptions>(options: T): T {
  const known = new Map<string, string | undefined>();
  const ask = (name: string): string | undefined => {
    if (!known.has(name)) known.set(name, dmTable(name, options));
    return known.get(name);
  };
  return { ...options, dmTable: ask };
}

/** Milliseconds that dmsetup may take. */
const LIMIT_MS = 10_000;

/** @returns `undefined` where dmsetup is not there, or may not ask */
export function dmTable(name: string, options: DmTableOptions = {}): string | undefined {
  if (options.dmTable !== undefined) return options.dmTable(name);
  try {
    return execFileSync("dmsetup", ["table", name], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: LIMIT_MS,
      env: { ...process.env, LC_ALL: "C", PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
    });
  } catch {
    return undefined;
  }
}
