/** textfile: read back by a parser of the exposition format that knows nothing of the writer. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { formatTextfile, writeTextfile, type TargetStatus } from "../../../src/rescue/index.ts";
import { removeTemporary, temporary } from "../support/tree.ts";

afterAll(removeTemporary);

interface Family {
  help?: string;
  type?: string;
  readonly samples: { readonly labels: Record<string, string>; readonly value: number }[];
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== "";) {
    const pair = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/.exec(rest);
    if (pair === null) throw new Error(`no label: ${rest}`);
    const [whole, name = "", label = ""] = pair;
    labels[name] = label.replace(/\\(.)/g, (_, one: string) => (one === "n" ? "\n" : one));
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** Reads the format 0.0.4 by its own rules, and refuses what breaks them: names, escapes, one TYPE before its samples, all of a family together. */
function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let current = "";
  const enter = (name: string): Family => {
    if (name !== current && families.has(name)) throw new Error(`${name}: not together`);
    current = name;
    const family = families.get(name) ?? { samples: [] };
    families.set(name, family);
    return family;
  };
  if (!text.endsWith("\n")) throw new Error("no newline at the end");
  for (const line of text.slice(0, -1).split("\n")) {
    const meta = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line);
    if (meta !== null) {
      const family = enter(meta[2] ?? "");
      const key = meta[1] === "HELP" ? "help" : "type";
      if (family[key] !== undefined || family.samples.length > 0) throw new Error(line);
      family[key] = meta[3] ?? "";
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)\{(.*)\} (\S+)$/.exec(line);
    if (sample === null) throw new Error(`no sample: ${line}`);
    const value = Number(sample[3]);
    if (Number.isNaN(value)) throw new Error(line);
    enter(sample[1] ?? "").samples.push({ labels: parseLabels(sample[2] ?? ""), value });
  }
  return families;
}

const STATUS: TargetStatus = {
  path: "/dev/pmem0",
  present: true,
  size: 10_000,
  totals: { total: 10_000, clean: 9000, unread: 0, poisoned: 512, lost: 488 },
  ranges: { poisoned: 1, lost: 2 },
  checkedMs: 1_700_000_000_500,
  events: { watching: 1, appeared: 3 },
  failing: ["ndctl"],
};
const STRANGE = 'a "b" \\ c\nd';

describe("formatTextfile()", () => {
  test("formatTextfile() gives every figure of every target, and R7: the states add up", () => {
    const other = { ...STATUS, path: STRANGE, present: false };
    const families = parseExposition(formatTextfile([STATUS, other]));
    const bytes = families.get("theriac_target_bytes")?.samples ?? [];
    const own = bytes.filter(({ labels }) => labels["target"] === "/dev/pmem0");
    expect(own.map(({ labels, value }) => [labels["state"], value])).toEqual([
      ["clean", 9000],
      ["unread", 0],
      ["poisoned", 512],
      ["lost", 488],
    ]);
    expect(own.reduce((sum, { value }) => sum + value, 0)).toBe(STATUS.size);
    expect(families.get("theriac_target_present")?.samples).toEqual([
      { labels: { target: "/dev/pmem0" }, value: 1 },
      { labels: { target: STRANGE }, value: 0 },
    ]);
    expect(families.get("theriac_target_last_check_timestamp_seconds")?.samples[0]?.value).toBe(
      1_700_000_000.5,
    );
    expect(families.get("theriac_target_sources_failing")?.samples[0]?.value).toBe(1);
  });

  test("formatTextfile() says of each family what it is, and counts events from 0", () => {
    const families = parseExposition(formatTextfile([STATUS]));
    for (const [name, { help, type }] of families) {
      expect(help, name).toMatch(/^[A-Z].*\.$/);
      expect(type, name).toBe(name.endsWith("_total") ? "counter" : "gauge");
    }
    const events = families.get("theriac_target_events_total")?.samples ?? [];
    const count = (change: string): number | undefined =>
      events.find(({ labels }) => labels["change"] === change)?.value;
    expect([count("appeared"), count("healed")]).toEqual([3, 0]);
  });
});

describe("writeTextfile()", () => {
  test("writeTextfile() replaces the file, for all to read, and leaves nothing beside it", () => {
    const folder = temporary();
    const path = join(folder, "theriac.prom");
    writeFileSync(path, "old");
    chmodSync(path, 0o600);
    writeTextfile(path, formatTextfile([STATUS]));
    expect(readFileSync(path, "utf8")).toBe(formatTextfile([STATUS]));
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(readdirSync(folder)).toEqual(["theriac.prom"]);
  });

  test("writeTextfile() names the file that it cannot write, and leaves nothing beside it", () => {
    const folder = temporary();
    mkdirSync(join(folder, "theriac.prom"));
    expect(() => writeTextfile(join(folder, "theriac.prom"), "x")).toThrow(/theriac\.prom/);
    expect(readdirSync(folder)).toEqual(["theriac.prom"]);
    expect(() => writeTextfile(join(folder, "no/such.prom"), "x")).toThrow(/ENOENT/);
  });
});
