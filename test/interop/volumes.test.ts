/** LVM2 volumes and md arrays that the real tools made in a real kernel, as `npm run lab:volumes -- --record` kept their metadata: needs no lab. */
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { VolumesFixture } from "../../lab/volumes/record.ts";
import { stackOf } from "../../lab/volumes/stacks.ts";
import { ownRows } from "../../lab/volumes/tables.ts";
import { findVolumes, openStackText, walkDown, type WalkStep } from "../../src/mapper/index.ts";

const FIXTURE = join(import.meta.dirname, "fixtures/volumes/volumes.json.br");
const { disks, recipe, tables, runs } = JSON.parse(
  brotliDecompressSync(readFileSync(FIXTURE)).toString("utf8"),
) as VolumesFixture;
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-volumes-"));
  for (const { name, sectors, kept } of disks) {
    const file = openSync(join(folder, `${name}.img`), "wx");
    ftruncateSync(file, sectors * 512);
    for (const [at, text] of kept) {
      const bytes = Buffer.from(text, "latin1");
      writeSync(file, bytes, 0, bytes.length, at * 512);
    }
    closeSync(file);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Every place of a byte on the disks, as `DISK SECTOR`. */
function placesOf(step: WalkStep): string[] {
  if (step.below.length > 0) return step.below.flatMap((below) => placesOf(below));
  return [`${basename(step.device.identity.name, ".img")} ${Math.floor(step.offset / 512)}`];
}

/** Where the disks hold the stamp of a sector, as far as runs were kept. */
function stampedAt(volume: string, sector: number): ReadonlySet<string> {
  return new Set(
    runs
      .filter(
        ([name, first, , , count]) => name === volume && first <= sector && sector < first + count,
      )
      .map(([, first, disk, at]) => `${disk} ${at + sector - first}`),
  );
}

describe("openStack() of volumes that LVM2 and mdadm made", () => {
  test.each(recipe.volumes.filter(({ check }) => check !== "none"))(
    "$name ($kind): every stamp that the kernel wrote is where the stack says",
    async (volume) => {
      const { device, table } = await openStackText(
        stackOf({ ...recipe, script: [] }, volume, folder),
      );
      try {
        let checked = 0;
        for (const [name, sector, disk, at, count] of runs) {
          if (name !== volume.name) continue;
          for (const step of [0, count - 1]) {
            const places = placesOf(walkDown(table, (sector + step) * 512));
            // where members may differ one alone serves; one that is being rebuilt holds the stamps of the others too
            if (volume.check === "stamp" && volume.generation === 1)
              expect(places).toContain(`${disk} ${at + step}`);
            else
              expect(places.some((place) => stampedAt(name, sector + step).has(place))).toBe(true);
            checked += 1;
          }
        }
        expect(checked).toBeGreaterThan(0);
        if (volume.kind !== "lvm") return;
        const rows = [...ownRows(table, volume.name)].filter(
          ([name]) => !/^d\d+p\d$|^under$/.test(name),
        );
        expect(rows).toEqual(rows.map(([name]) => [name, tables[name]]));
      } finally {
        await device.close();
      }
    },
  );
});

describe("findVolumes()", () => {
  test("finds them all on the disks, with their members", async () => {
    const { text } = await findVolumes(disks.map(({ name }) => join(folder, `${name}.img`)));
    const shown = (kind: string, members: readonly string[], volume = ""): string =>
      [kind, volume, ...members.toSorted()].join(" ");
    const wanted = recipe.volumes.map((one) =>
      shown(one.kind, one.members, one.kind === "lvm" ? one.volume : ""),
    );
    const found = text.volumes.map((one) =>
      shown(one.kind, one.members, one.kind === "lvm" ? one.volume : ""),
    );
    expect(found.toSorted()).toEqual(wanted.toSorted());
  });
});
