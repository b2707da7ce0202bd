/**
 * record: a boot's disks as a small fixture: what is not data of them, the tables that the guest printed, and where every stamp was found. With it a
 * test needs no lab (test/interop/volumes.test.ts).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { SECTOR } from "../../src/base/index.ts";
import type { Recipe } from "./recipe.ts";
import type { Rows } from "./tables.ts";

/** What a fixture holds. */
export interface VolumesFixture {
  readonly disks: readonly {
    readonly name: string;
    readonly sectors: number;
    /** First sector, and bytes as Latin-1 text, of what is neither zeros nor stamped. */
    readonly kept: readonly (readonly [number, string])[];
  }[];
  readonly recipe: Pick<Recipe, "disks" | "volumes">;
  /** `dmsetup table` by name. */
  readonly tables: Readonly<Record<string, readonly string[]>>;
  /** Runs of stamps of the last generation: volume, its sector, disk, its sector, count. */
  readonly runs: readonly (readonly [string, number, string, number, number])[];
}

/** What one sector of a disk is. */
type Sector =
  | { readonly kind: "zeros" | "other" }
  | {
      readonly kind: "stamp";
      readonly name: string;
      readonly sector: number;
      readonly generation: number;
    };

/** Writes the fixture of a boot. */
export function recordFixture(
  recipe: Recipe,
  options: { readonly folder: string; readonly rows: Rows; readonly path: string },
): void {
  const { folder, rows, path } = options;
  const generations = new Map(recipe.volumes.map(({ name, generation }) => [name, generation]));
  const runs: [string, number, string, number, number][] = [];
  const disks = recipe.disks.map(({ name, sectors }) => {
    const bytes = readFileSync(join(folder, `${name}.img`));
    const kept: [number, Buffer[]][] = [];
    for (let at = 0; at < sectors; at += 1) {
      const view = bytes.subarray(at * SECTOR, (at + 1) * SECTOR);
      const sector = sectorOf(view);
      const last = kept.at(-1);
      if (sector.kind === "other" && last !== undefined && last[0] + last[1].length === at)
        last[1].push(view);
      else if (sector.kind === "other") kept.push([at, [view]]);
      if (sector.kind !== "stamp" || generations.get(sector.name) !== sector.generation) continue;
      const run = runs.at(-1);
      const isNext =
        run?.[0] === sector.name &&
        run[2] === name &&
        run[1] + run[4] === sector.sector &&
        run[3] + run[4] === at;
      if (isNext) run[4] += 1;
      else runs.push([sector.name, sector.sector, name, at, 1]);
    }
    return {
      name,
      sectors,
      kept: kept.map(([at, list]) => [at, Buffer.concat(list).toString("latin1")] as const),
    };
  });
  const { disks: made, volumes } = recipe;
  const tables = Object.fromEntries(rows);
  const recorded = { disks: made, volumes };
  const fixture: VolumesFixture = { disks, recipe: recorded, tables, runs: sampled(runs) };
  writeFileSync(path, brotliCompressSync(JSON.stringify(fixture)));
}

/** At most so many runs of each volume on each disk, the first ones, so that ends of chunks and of segments are among them. */
const RUNS_MAX = 12;

function sampled(runs: VolumesFixture["runs"]): VolumesFixture["runs"] {
  const counts = new Map<string, number>();
  return runs.filter(([volume, , disk]) => {
    const key = `${volume} ${disk}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return count <= RUNS_MAX || count % 97 === 0;
  });
}

function sectorOf(view: Buffer): Sector {
  if (view.every((byte) => byte === 0)) return { kind: "zeros" };
  const first = view.subarray(0, 32);
  for (let at = 32; at < SECTOR; at += 32)
    if (Buffer.compare(view.subarray(at, at + 32), first) !== 0) return { kind: "other" };
  const name = first.toString("latin1", 0, 16).replace(/\0+$/, "");
  const isStamp =
    /^[\w-]+$/.test(name) && first.readUInt32LE(20) === 0 && first.readUInt32LE(28) === 0;
  if (!isStamp) return { kind: "other" };
  return {
    kind: "stamp",
    name,
    sector: first.readUInt32LE(16),
    generation: first.readUInt32LE(24),
  };
}
