/** check: one volume of a recipe, read through Theriac's stack, sector by sector beside what it must hold. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SECTOR } from "../../src/base/index.ts";
import { findVolumes, openStackText, type OpenStack } from "../../src/mapper/index.ts";
import { stamped } from "./disks.ts";
import type { Recipe, Volume } from "./recipe.ts";
import { stackOf } from "./stacks.ts";
import { ownRows, type Rows } from "./tables.ts";

/** What a comparison found. */
export interface Outcome {
  sectors: number;
  readonly mismatches: string[];
}

/** A volume, and what the guest said of it. */
export interface Check {
  readonly recipe: Recipe;
  readonly volume: Volume;
  /** Holds the images, and in `shared` what the guest wrote. */
  readonly folder: string;
  /** `dmsetup table` of the guest. */
  readonly rows: Rows;
}

/** Compares one volume. */
export async function checkVolume(check: Check): Promise<Outcome> {
  const { recipe, volume, folder } = check;
  if (volume.check === "none") return { sectors: 0, mismatches: [] };
  let stack: OpenStack;
  try {
    stack = await openStackText(stackOf(recipe, volume, folder));
  } catch (error) {
    return { sectors: 0, mismatches: [(error as Error).message] };
  }
  try {
    const { device, table } = stack;
    const mismatches = [...sizeMismatch(check, device.size)];
    if (volume.kind === "lvm")
      mismatches.push(...rowMismatches(ownRows(table, volume.name), check.rows));
    const got = Buffer.alloc(device.size);
    const { missing } = await device.read(got, 0, "recovery");
    if (missing.length > 0)
      mismatches.push(`${missing.length} ranges cannot be read, from ${missing[0]?.offset} on`);
    const want =
      volume.check === "read"
        ? readFileSync(join(folder, "shared", `${volume.name}.bin`))
        : stamped(volume.name, volume.generation, { first: 0, count: device.size / SECTOR });
    mismatches.push(...sectorMismatches(got, want));
    if (volume.check === "stamp" && volume.generation === 1 && volume.members.length > 1)
      mismatches.push(...(await degradedMismatches(check, want)));
    return { sectors: device.size / SECTOR, mismatches };
  } finally {
    await stack.device.close();
  }
}

/** Members that are left out one by one: what is left must say the same, or say that it is missing. */
async function degradedMismatches(
  { recipe, volume, folder }: Check,
  want: Uint8Array,
): Promise<string[]> {
  const mismatches: string[] = [];
  for (const gone of volume.members) {
    const members =
      volume.kind === "md"
        ? volume.members.map((word) => (word === gone ? "missing" : word))
        : volume.members.filter((word) => word !== gone);
    const less = {
      ...recipe,
      volumes: recipe.volumes.map((one) => (one === volume ? { ...one, members } : one)),
    };
    let stack: OpenStack;
    try {
      stack = await openStackText(stackOf(less, volume, folder));
    } catch {
      // what keeps one copy is refused; of LVM's texts the last may be gone
      continue;
    }
    const got = Buffer.alloc(stack.device.size);
    const { missing } = await stack.device.read(got, 0, "recovery");
    await stack.device.close();
    for (const { offset, length } of missing)
      got.set(want.subarray(offset, offset + length), offset);
    // a mirror with a core log does not know whether its other legs are in sync
    const isMirror = volume.kind === "md" || /raid|mir--3/.test(volume.name);
    if (isMirror && missing.length > 0) mismatches.push(`without ${gone} it has holes`);
    mismatches.push(...[...sectorMismatches(got, want)].map((text) => `without ${gone}: ${text}`));
  }
  return mismatches;
}

function* sizeMismatch({ volume, folder }: Check, size: number): Generator<string> {
  const sizes = readFileSync(join(folder, "shared/sizes"), "utf8");
  const said = new RegExp(`^${volume.name} (\\d+)$`, "m").exec(sizes)?.[1];
  if (said !== undefined && Number(said) !== size) yield `want ${said} bytes: got ${size}`;
}

function* rowMismatches(own: Rows, guest: Rows): Generator<string> {
  for (const [name, rows] of own) {
    // partitions and arrays under a group are tables here, and none there
    if (/^d\d+p\d$|^under$/.test(name)) continue;
    const [got, want] = [rows.join("\n"), guest.get(name)?.join("\n")];
    if (got !== want) yield `table ${name}: want\n${want ?? "none"}\ngot\n${got}`;
  }
}

function* sectorMismatches(got: Uint8Array, want: Uint8Array): Generator<string> {
  if (got.length !== want.length) yield `want ${want.length} bytes: got ${got.length}`;
  if (Buffer.compare(got, want) === 0) return;
  let count = 0;
  let first = -1;
  for (let at = 0; at < got.length; at += SECTOR) {
    const [one, other] = [got.subarray(at, at + SECTOR), want.subarray(at, at + SECTOR)];
    if (Buffer.compare(one, other) === 0) continue;
    if (first < 0) first = at;
    count += 1;
  }
  const text = Buffer.from(got.subarray(first, first + 32)).toString("latin1");
  yield `${count} sectors differ, from sector ${first / SECTOR} on: got ${JSON.stringify(text)}`;
}

/** Compares the stack that Theriac finds on the disks by itself with the recipe. */
export async function checkFound(recipe: Recipe, folder: string): Promise<string[]> {
  const { text, notes } = await findVolumes(
    recipe.disks.map(({ name }) => join(folder, `${name}.img`)),
  );
  const found = new Set(
    text.volumes.map(
      (one) =>
        `${one.kind} ${one.kind === "lvm" ? one.volume : ""} ${[...one.members].sort().join(" ")}`,
    ),
  );
  const wanted = recipe.volumes.map(
    (one) =>
      `${one.kind} ${one.kind === "lvm" ? one.volume : ""} ${[...one.members].sort().join(" ")}`,
  );
  const mismatches = wanted.filter((one) => !found.has(one)).map((one) => `not found: ${one}`);
  if (found.size !== wanted.length)
    mismatches.push(`found ${found.size} volumes: want ${wanted.length}`);
  return mismatches.length === 0 ? [] : [...mismatches, ...notes];
}
