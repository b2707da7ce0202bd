/** dust in the lab: random messages, reads and writes, and the kernel's answers and log lines to them (dust.sh has the form of a question). */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SECTOR, StorageError, type Prng } from "../../src/base/index.ts";
import { createMemoryDevice, type ManagedDevice } from "../../src/device/index.ts";
import {
  activateRows,
  loadTable,
  mappedDevice,
  parseTable,
  sendMessage,
  type MappedDevice,
} from "../../src/mapper/index.ts";
import { fnv64 } from "../replay/trace.ts";
import type { Compared, TargetLab } from "./target-lab.ts";

/** Bytes of the device below. */
const SIZE = 1024 * 1024;

/** Questions to one table. */
const QUESTIONS = 50;

/** Offsets divide by the block: where not, Linux looks at a request's first sector only (docs/linux.md). */
const TABLES: readonly (readonly [sectors: number, offset: number, blockSize: number])[] = [
  [2048, 0, 512],
  [1024, 256, 512],
  [2048, 0, 4096],
  [1024, 512, 1024],
];

/** dust. */
export const dustLab: TargetLab = {
  name: "dust",
  async ask(folder, prng) {
    const lines = TABLES.flatMap((table, index) =>
      [`table ${table.join(" ")}`, "say enable"].concat(questions(table, index % 2 === 1, prng)),
    );
    writeFileSync(join(folder, "dust.ask"), lines.map((line) => `${line}\n`).join(""));
  },
  compare: async (folder) => {
    const read = (name: string): string[] =>
      readFileSync(join(folder, name), "utf8").trimEnd().split("\n");
    return compareDust({ ask: read("dust.ask"), said: read("dust.said"), log: read("dust.log") });
  },
};

/** Random questions. With fail counts a write is of one block: of several Linux does those that it can, and Theriac none. */
function questions(
  [sectors, offset, blockSize]: (typeof TABLES)[number],
  counts: boolean,
  prng: Prng,
): string[] {
  const inBlock = blockSize / SECTOR;
  const first = offset / inBlock;
  const total = sectors / inBlock;
  const at = (): number => prng.below(Math.min(total, 12));
  const many = (): number => 1 + prng.below(counts ? 1 : 6);
  const block = (): number => (prng.below(20) === 0 ? prng.below(5000) : first + at());
  const oneOf = (words: readonly string[]): string => words[prng.below(words.length)] ?? "";
  const kinds: readonly (readonly [weight: number, make: () => string])[] = [
    [1, () => `say queryblock ${block()}`],
    [1, () => oneOf(["say countbadblocks", "say listbadblocks", "status"])],
    [1, () => oneOf(["say clearbadblocks", "say disable", "say quiet", "say QUIET"])],
    [1, () => "say enable"],
    [1, () => `say removebadblock ${block()}`],
    [1, () => oneOf(BAD_MESSAGES)],
    [3, () => `say addbadblock ${block()}${counts ? ` ${prng.below(3)}` : ""}`],
    [3, () => `write ${at() * inBlock} ${many() * inBlock} ${1 + prng.below(255)}`],
    [4, () => `read ${at() * inBlock + prng.below(inBlock)} ${1 + prng.below(12)}`],
  ];
  const spread = kinds.flatMap(([weight, make]) => Array.from({ length: weight }, () => make));
  return Array.from({ length: QUESTIONS }, () => spread[prng.below(spread.length)]?.() ?? "");
}

const BAD_MESSAGES = [
  "say addbadblock",
  "say wipe",
  "say wipe 4",
  "say addbadblock x",
  "say addbadblock 1 256",
  "say queryblock 1 1",
  "say addbadblock 1 2 3",
  "say removebadblock 999999",
];

/** Questions, and what a kernel said to each and logged. */
export interface DustRecord {
  readonly ask: readonly string[];
  readonly said: readonly string[];
  readonly log: readonly string[];
}

/** Asks Theriac the same. */
export async function compareDust({ ask, said, log }: DustRecord): Promise<Compared> {
  const leaf = createMemoryDevice({
    size: SIZE,
    name: "leaf",
    poisonUnit: SECTOR,
    clearUnit: SECTOR,
    clear: "overwrite",
  });
  const own = new Answers(leaf);
  const mismatches: string[] = [];
  for (const [index, question] of ask.entries()) {
    const answer = await own.to(question);
    if (answer !== said[index])
      mismatches.push(`${question}: Linux "${said[index]}": Theriac "${answer}"`);
  }
  const lines = Math.max(own.log.length, log.length);
  for (let at = 0; at < lines; at += 1)
    if (own.log[at] !== log[at])
      mismatches.push(`log line ${at}: Linux "${log[at]}": Theriac "${own.log[at]}"`);
  return { compared: ask.length + lines, mismatches };
}

/** Theriac's answers. */
class Answers {
  readonly log: string[] = [];
  readonly #leaf: ManagedDevice;
  #table: MappedDevice | undefined;

  constructor(leaf: ManagedDevice) {
    this.#leaf = leaf;
  }

  async to(question: string): Promise<string> {
    const [verb = "", ...words] = question.split(" ");
    if (verb === "table") return this.#makeTable(words);
    const table = this.#table;
    if (table === undefined) throw new Error("want a table first");
    if (verb === "say") return await this.#say(table, words);
    if (verb === "status") return `status ${statusOf(table)}`;
    const [sector = 0, count = 0, fill = 0] = words.map(Number);
    const bytes = new Uint8Array(count * SECTOR).fill(fill);
    return `${verb} ${await transfer(table, { verb, bytes, offset: sector * SECTOR })}`;
  }

  async #makeTable([sectors, offset, blockSize]: readonly string[]): Promise<string> {
    const rows = loadTable(parseTable(`0 ${sectors} dust leaf ${offset} ${blockSize}`, "lab"), {
      path: "lab",
      lookup: () => this.#leaf,
    });
    await activateRows(rows);
    this.#table = mappedDevice(rows, { name: "dust" });
    return "table 0";
  }

  async #say(table: MappedDevice, words: readonly string[]): Promise<string> {
    try {
      const { reply = "", log } = await sendMessage(table, { sector: 0, words });
      this.log.push(...log);
      return `say 0 ${reply.trimEnd().replaceAll("\n", ",")},`;
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      const [, text = ""] = /^EINVAL: Cannot take message: (.*)$/.exec(error.message) ?? [];
      // what the kernel refuses without a word has one of ours
      if (!/^(want a number|the target is quiet)/.test(text)) this.log.push(text);
      return "say 1 ,";
    }
  }
}

function statusOf(table: MappedDevice): string {
  const target = table.rows[0]?.target;
  const text = target?.kind === "device" ? (target.status?.() ?? "") : "";
  return text.replace(/^leaf /, "");
}

interface Transfer {
  readonly verb: string;
  readonly bytes: Uint8Array;
  readonly offset: number;
}

async function transfer(table: MappedDevice, { verb, bytes, offset }: Transfer): Promise<string> {
  if (verb === "read") {
    const { missing } = await table.read(bytes, offset);
    return missing.length > 0 ? "EIO" : `ok ${fnv64(bytes)}`;
  }
  try {
    await table.write(bytes, offset);
    return "ok";
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
}
