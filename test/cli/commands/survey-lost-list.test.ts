/** A damaged image whose list is gone, or is another image's, does not look clean: survey, verify and scrub find what is gone, through the program and the library. */
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RangeSet } from "../../../src/base/index.ts";
import { openDevice } from "../../../src/device/index.ts";
import { openFileMap } from "../../../src/fs/index.ts";
import { openFile } from "../../../src/file/index.ts";
import { openTarget, scan, survey, type Survey } from "../../../src/rescue/index.ts";
import { placeOf, removeTemporary, treeImage } from "../../rescue/support/tree.ts";
import { theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();
afterAll(removeTemporary);

/** Where the damage is, by how it came about; each 512 bytes of another file. */
const PLACES = { known: 0, latent: 0, cleared: 0, inode: 0 };
const PATHS = {
  known: "/docs/big.bin",
  latent: "/docs/archive.bin",
  cleared: "/docs/report.txt",
} as const;
let damaged = "";
let sound = "";

/** Runs a command that must work. */
async function done(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await theriac(args);
  if (code !== 0) throw new Error(`theriac ${args.join(" ")} ended with ${code}: ${stderr}`);
}

async function adopt(path: string): Promise<void> {
  writeFileSync(path, treeImage());
  await done("create", path, "--adopt", "--poison-unit", "512", "--clear-unit", "512");
}

beforeAll(async () => {
  damaged = join(place.folder, "damaged.img");
  sound = join(place.folder, "sound.img");
  await adopt(damaged);
  await adopt(sound);
  await done("scrub", sound);
  const device = openDevice(damaged, { access: "write" });
  const map = await openFileMap(device);
  for (const kind of ["known", "latent", "cleared"] as const)
    PLACES[kind] = await placeOf(map, PATHS[kind], 4096);
  const owned = await map.owners([{ offset: 0, length: map.size }]);
  const slot = owned.find(({ owners }) => owners[0]?.paths?.includes("/tiny.txt") === true)!;
  PLACES.inode = slot.offset - (slot.offset % 512);
  device.close();
  const inject = async (at: number, ...more: string[]): Promise<void> =>
    done("inject", damaged, "--at", `${at}`, "--length", "512", ...more);
  await inject(PLACES.known);
  await inject(PLACES.inode);
  await inject(PLACES.latent, "--latent");
  await inject(PLACES.cleared);
  const again = openDevice(damaged, { access: "write" });
  again.clear({ offset: PLACES.cleared, length: 512 });
  again.close();
}, 60_000);

/** What becomes of the list. */
const FATES: Readonly<Record<string, (image: string) => void>> = {
  "was deleted": (image) => {
    copyFileSync(`${damaged}.theriac`, `${image}.theriac`);
    rmSync(`${image}.theriac`);
  },
  "was not copied": () => undefined,
  "is that of another image": (image) => copyFileSync(`${sound}.theriac`, `${image}.theriac`),
};

describe.each(Object.entries(FATES))("a damaged image whose list %s", (name, fate) => {
  let image = "";

  beforeEach(() => {
    image = join(place.folder, `${name.replaceAll(" ", "-")}.img`);
    for (const path of [image, `${image}.theriac`]) rmSync(path, { force: true });
    copyFileSync(damaged, image);
    fate(image);
  });

  const scanned = (document: unknown): void => {
    const { totals, damage } = document as Survey;
    expect(totals.poisoned).toBe(4 * 512);
    const places = Object.values(PLACES).map((offset) => ({ offset, length: 512 }));
    expect([...RangeSet.from(damage)]).toEqual([...RangeSet.from(places)]);
    const paths = damage.flatMap(({ owners }) => owners.flatMap((owner) => owner.paths ?? []));
    expect(paths).toEqual(expect.arrayContaining(Object.values(PATHS)));
  };

  test("R1: survey that reads tells every place and its file, and ends with 1", async () => {
    const { code, document } = await theriacJson(["survey", image, "--scan"]);
    expect(code).toBe(1);
    scanned(document);
  });

  test("R1: verify and scrub end with 1, and the list that scrub leaves names every place", async () => {
    const verified = await theriacJson(["verify", image]);
    expect(verified).toMatchObject({ code: 1, document: { totals: { poisoned: 4 * 512 } } });
    const scrubbed = await theriacJson(["scrub", image]);
    expect(scrubbed).toMatchObject({ code: 1, document: { totals: { poisoned: 4 * 512 } } });
    const after = await theriacJson(["survey", image]);
    expect(after.code).toBe(1);
    scanned(after.document);
  });

  test("R1: the library reads no marker as data", async () => {
    const target = await openTarget(image);
    try {
      await scan(target);
      scanned(await survey(target));
    } finally {
      await target.close();
    }
    // Loads of a mapped image ask the list that is beside it, and nothing else.
    const map = name !== "is that of another image";
    const device = openDevice(image, { map });
    const file = await openFile(device);
    const into = new Uint8Array(512);
    for (const at of Object.values(PLACES)) {
      await expect(file.preadv2(into, at)).rejects.toMatchObject({ code: "EIO" });
      if (map) expect(() => file.direct?.preadv2(into, at) ?? -1).toThrow(/EIO/);
    }
    await file.close();
    device.close();
  });
});

describe("survey of an image without any list", () => {
  test("reads metadata alone, and calls nothing clean", async () => {
    const image = join(place.folder, "unread.img");
    copyFileSync(damaged, image);
    const { document } = await theriacJson(["survey", image]);
    expect(document).toMatchObject({ totals: { clean: 0, lost: 0 } });
    expect((await theriac(["survey", image])).stdout).toContain("unread");
  });
});
