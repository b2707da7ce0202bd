/** unstriped in the lab: random tables, some of which cannot be, read through the kernel's dm-unstriped and through ours. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SECTOR, StorageError, type Prng } from "../../src/base/index.ts";
import { createMemoryDevice } from "../../src/device/index.ts";
import { loadTable, mappedDevice, parseTable } from "../../src/mapper/index.ts";
import type { Compared, TargetLab } from "./target-lab.ts";

/** Sectors of the device below: the first half for stripes, what is behind for rows of another kind. */
const SECTORS = 2048;
const TABLES = 80;

/** unstriped. */
export const unstripedLab: TargetLab = {
  name: "unstriped",
  async ask(folder, prng) {
    const image = prng.bytes(SECTORS * SECTOR);
    const tables = Array.from({ length: TABLES }, () => randomTable(prng));
    writeFileSync(join(folder, "unstriped.img"), image);
    writeFileSync(join(folder, "unstriped.ask"), tables.map((table) => `${table}\n`).join(""));
  },
  async compare(folder): Promise<Compared> {
    const text = (name: string): string[] =>
      readFileSync(join(folder, name), "utf8").trimEnd().split("\n");
    const bytes = readFileSync(join(folder, "unstriped.img"));
    const refused = new Set(text("unstriped.refused"));
    const mismatches: string[] = [];
    for (const [index, table] of text("unstriped.ask").entries()) {
      const ours = await readThrough(table, bytes);
      const isRefused = refused.has(String(index));
      const theirs = isRefused ? undefined : readFileSync(join(folder, `unstriped.${index}`));
      const isSame =
        ours === undefined || theirs === undefined ? ours === theirs : theirs.equals(ours);
      if (!isSame)
        mismatches.push(
          `${table}: Linux ${theirs?.length ?? "refuses"}: Theriac ${ours?.length ?? "refuses"}`,
        );
    }
    return { compared: TABLES, mismatches };
  },
};

/** A row that fits, sometimes behind another, and now and then a word that cannot be. */
function randomTable(prng: Prng): string {
  const count = 1 + prng.below(4);
  const chunk = prng.pick([1, 2, 3, 8, 24]);
  const stripe = prng.below(count);
  const chunks = 1 + prng.below(Math.max(1, Math.floor(SECTORS / chunk / count / 6)));
  const before = prng.chance(0.3) ? chunk * (1 + prng.below(3)) : 0;
  const start = prng.below(9);
  const words: (string | number)[] = [count, chunk, stripe, "DISK", start];
  if (prng.chance(0.2)) words[prng.below(3)] = prng.pick(["0", "x", "-1", count, 4294967296]);
  const rows = before === 0 ? [] : [`0 ${before} linear DISK 1900`];
  return [...rows, `${before} ${chunks * chunk} unstriped ${words.join(" ")}`].join(";");
}

async function readThrough(table: string, bytes: Buffer): Promise<Buffer | undefined> {
  const disk = createMemoryDevice({ bytes: Uint8Array.from(bytes), name: "DISK" });
  try {
    const rows = loadTable(parseTable(table.replaceAll(";", "\n"), "lab"), {
      path: "lab",
      lookup: () => disk,
    });
    const device = mappedDevice(rows, { name: "lab" });
    const into = Buffer.alloc(device.size);
    await device.read(into, 0);
    return into;
  } catch (error) {
    if (error instanceof StorageError) return undefined;
    throw error;
  }
}
