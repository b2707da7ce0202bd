/** Partition tables as sfdisk and sgdisk write them: what they say stands there is what readPartitionTable() says. */
import { execFileSync, spawnSync, type ExecFileSyncOptions } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPrng, type ByteRange, type Prng } from "../../src/base/index.ts";
import { readPartitionTable } from "../../src/mapper/index.ts";
import { fakeDisk } from "../mapper/support/fake-disk.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const ROUNDS = 25;
const has = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;

/** Both programs end with sync(2), which waits for every file system of the machine; eatmydata keeps the test out of that. */
const QUIET = has("eatmydata") ? ["eatmydata"] : [];

function partitioner(
  program: string,
  args: readonly string[],
  options: ExecFileSyncOptions = {},
): string {
  const [command, ...rest] = [...QUIET, program, ...args] as [string, ...string[]];
  return String(execFileSync(command, rest, { stdio: "pipe", ...options }));
}

/** What `sfdisk --json` prints. */
interface SfdiskTable {
  readonly label: "gpt" | "dos";
  readonly id: string;
  readonly sectorsize: number;
  readonly partitions?: readonly {
    readonly node: string;
    readonly start: number;
    readonly size: number;
    readonly type: string;
    readonly uuid?: string;
    readonly name?: string;
  }[];
}

interface Row {
  readonly index: number;
  readonly offset: number;
  readonly length: number;
  readonly type: string;
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-partitions-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function sfdisk(path: string, script: string): void {
  partitioner("sfdisk", ["--quiet", "--no-reread", "--force", path], { input: script });
}

function sfdiskRows(path: string): { rows: Row[]; table: SfdiskTable } {
  const text = partitioner("sfdisk", ["--json", path]);
  const table = (JSON.parse(text) as { partitiontable: SfdiskTable }).partitiontable;
  const rows = (table.partitions ?? [])
    .filter((partition) => !["5", "f", "85"].includes(partition.type))
    .map((partition) => ({
      index: Number(/(\d+)$/.exec(partition.node)?.[1]),
      offset: partition.start * table.sectorsize,
      length: partition.size * table.sectorsize,
      type:
        table.label === "gpt"
          ? partition.type.toLowerCase()
          : `0x${partition.type.padStart(2, "0")}`,
    }))
    .sort((one, other) => one.offset - other.offset);
  return { rows, table };
}

async function ourRows(bytes: Uint8Array, poisoned: readonly ByteRange[] = []) {
  const { table } = await readPartitionTable(fakeDisk(bytes, poisoned));
  const rows = (table?.partitions ?? []).map(({ index, offset, length, type }) => ({
    index,
    offset,
    length,
    type,
  }));
  return { rows, table };
}

/** A script of random partitions without order in their numbers. */
function gptScript(prng: Prng, sectors: number): string {
  let at = 2048;
  const lines: string[] = [];
  while (at < sectors - 2048 && lines.length < 40) {
    at += prng.below(500);
    const size = 1 + prng.below(3000);
    if (at + size > sectors - 100) break;
    lines.push(
      `start=${at}, size=${size}, name="${prng.pick(["root", "swap ü", "a b", ""])}-${lines.length}"`,
    );
    at += size;
  }
  return [
    "label: gpt",
    "unit: sectors",
    "first-lba: 64",
    ...lines.sort(() => prng.below(3) - 1),
  ].join("\n");
}

function mbrScript(prng: Prng, sectors: number): string {
  const lines = ["label: dos", "unit: sectors"];
  let at = 2048;
  const primaries = prng.below(3);
  for (let count = 0; count < primaries; count += 1) {
    const size = 100 + prng.below(2000);
    lines.push(`start=${at}, size=${size}, type=${prng.pick(["83", "82", "c", "7", "fd"])}`);
    at += size + prng.below(100);
  }
  lines.push(`start=${at}, size=${sectors - at - prng.below(200)}, type=${prng.pick(["5", "f"])}`);
  for (let logical = prng.below(12); logical > 0; logical -= 1) {
    at += 2 + prng.below(200);
    const size = 10 + prng.below(1500);
    if (at + size > sectors - 400) break;
    lines.push(`start=${at}, size=${size}, type=83`);
    at += size;
  }
  return lines.join("\n");
}

describe.skipIf(!has("sfdisk"))("tables of sfdisk (skipped where sfdisk is missing)", () => {
  test(`readPartitionTable() says what sfdisk says of ${ROUNDS} random GPTs, and so from their backups; SEED=${SEED}`, async () => {
    const prng = createPrng(SEED);
    for (let round = 0; round < ROUNDS; round += 1) {
      const path = join(folder, `gpt-${round}`);
      const sectors = 20_000 + prng.below(40_000);
      writeFileSync(path, "");
      truncateSync(path, sectors * 512);
      sfdisk(path, gptScript(prng, sectors));
      const { rows, table } = sfdiskRows(path);
      const bytes = readFileSync(path);
      const ours = await ourRows(bytes);
      expect(ours.rows, `round ${round}`).toEqual(rows);
      expect(ours.table).toMatchObject({
        complete: true,
        problems: [],
        uuid: table.id.toLowerCase(),
      });
      const names = new Map(
        ours.table?.partitions.map(({ index, name, uuid }) => [index, [name, uuid]]),
      );
      for (const { node, name, uuid } of table.partitions ?? []) {
        expect(names.get(Number(/(\d+)$/.exec(node)?.[1]))).toEqual([
          name ?? "",
          uuid?.toLowerCase(),
        ]);
      }
      const poisoned = [{ offset: prng.pick([0, 512, 1024]), length: 1 + prng.below(512) }];
      expect((await ourRows(bytes, poisoned)).rows, `round ${round}, poisoned`).toEqual(rows);
      rmSync(path);
    }
  });

  test(`readPartitionTable() says what sfdisk says of ${ROUNDS} random MBRs; SEED=${SEED}`, async () => {
    const prng = createPrng(SEED + 1);
    for (let round = 0; round < ROUNDS; round += 1) {
      const path = join(folder, `mbr-${round}`);
      const sectors = 20_000 + prng.below(40_000);
      writeFileSync(path, "");
      truncateSync(path, sectors * 512);
      sfdisk(path, mbrScript(prng, sectors));
      const { rows, table } = sfdiskRows(path);
      const ours = await ourRows(readFileSync(path));
      expect(ours.rows, `round ${round}`).toEqual(rows);
      expect(ours.table?.uuid ?? table.id.slice(2)).toBe(table.id.slice(2));
      rmSync(path);
    }
  });
});

describe.skipIf(!has("sgdisk") || !has("sfdisk"))(
  "tables of sgdisk (skipped where sgdisk or sfdisk is missing)",
  () => {
    test(`readPartitionTable() says what sgdisk wrote, with 128 to 512 entries and a hybrid MBR; SEED=${SEED}`, async () => {
      const prng = createPrng(SEED + 2);
      for (let round = 0; round < 8; round += 1) {
        const path = join(folder, `sgdisk-${round}`);
        writeFileSync(path, "");
        truncateSync(path, 64 * 1024 * 1024);
        const parts = Array.from({ length: 1 + prng.below(8) }, (_, at) => [
          `--new=${prng.chance(0.5) ? at + 1 : at + 20}:${4096 + at * 8192}:+${1 + prng.below(3)}M`,
        ]).flat();
        const entries = prng.pick([56, 128, 256, 512]);
        const hybrid = prng.chance(0.3)
          ? [`--hybrid=${/--new=(\d+)/.exec(parts[0] ?? "")?.[1] ?? "1"}`]
          : [];
        partitioner("sgdisk", ["--clear", `--resize-table=${entries}`, ...parts, path]);
        if (hybrid.length > 0) partitioner("sgdisk", [...hybrid, path]);
        const bytes = readFileSync(path);
        const ours = await ourRows(bytes);
        const printed = partitioner("sgdisk", ["--print", path]);
        const expected = [...printed.matchAll(/^ +(\d+) +(\d+) +(\d+) /gm)].map((match) => ({
          index: Number(match[1]),
          offset: Number(match[2]) * 512,
          length: (Number(match[3]) - Number(match[2]) + 1) * 512,
        }));
        const plain = ours.rows.map(({ index, offset, length }) => ({ index, offset, length }));
        expect(plain, `round ${round}`).toEqual(
          expected.sort((one, other) => one.offset - other.offset),
        );
        expect(expected).toHaveLength(parts.length);
        rmSync(path);
      }
    });
  },
);
