/** Donors by the names that people give: what each of them has, and what it never gives. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adoptImage } from "../../src/device/index.ts";
import { gradeTwin, knownLacks, knownVolumeLacks } from "../../src/donor/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import {
  closeDonors,
  openDonor,
  openDonors,
  openTarget,
  repair,
  salvage,
  wholeTarget,
  type Repair,
} from "../../src/rescue/index.ts";
import { MODIFIED_DATE, startServer, type WebServer } from "../donor/support/web-server.ts";
import {
  FILES,
  memoryTarget,
  placeOf,
  removeTemporary,
  temporary,
  treeImage,
  writeTree,
} from "./support/tree.ts";

const BIG = "/docs/big.bin";
const PRISTINE = treeImage();
let folder = "";
let image = "";

beforeEach(() => {
  folder = temporary();
  image = join(folder, "disk.img");
  writeFileSync(image, PRISTINE);
});
afterEach(() => removeTemporary());

/** Bad ranges of an image without a list, whole sectors, known. */
function injure(path: string, ...offsets: readonly number[]): void {
  const device = adoptImage(path, { poisonUnit: 512, clearUnit: 512 });
  for (const offset of offsets) device.inject({ offset, length: 512 });
  device.close();
}

async function bigAt(offset: number): Promise<number> {
  const { map } = await memoryTarget(PRISTINE);
  return await placeOf(map, BIG, offset);
}

async function repairFrom(...names: readonly string[]): Promise<Repair> {
  const donors = await openDonors(names, { target: image });
  const target = await openTarget(image, { access: "write" });
  try {
    return await repair({ target, donors });
  } finally {
    await target.close();
    await closeDonors(donors);
  }
}

/** A map as ddrescue writes it: all finished but some ranges. */
function mapText(size: number, holes: readonly (readonly [number, number, string])[]): string {
  const lines = ["# Mapfile. Created by GNU ddrescue version 1.27", "0x0 + 1"];
  let at = 0;
  for (const [offset, length, state] of holes) {
    if (offset > at) lines.push(`${at} ${offset - at} +`);
    lines.push(`${offset} ${length} ${state}`);
    at = offset + length;
  }
  if (at < size) lines.push(`${at} ${size - at} +`);
  return `${lines.join("\n")}\n`;
}

/** A copy as ddrescue leaves it: zeros where it did not get to. */
function partialCopy(name: string, holes: readonly (readonly [number, number, string])[]): string {
  const bytes = Uint8Array.from(PRISTINE);
  for (const [offset, length] of holes) bytes.fill(0, offset, offset + length);
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe("openDonor() of a partial copy", () => {
  test.each(["-", "?", "*", "/"])(
    "R1: what its map calls %s is missing, not zeros",
    async (state) => {
      const at = await bigAt(8192);
      const copy = partialCopy("copy.img", [[at, 512, state]]);
      writeFileSync(join(folder, "rescue.txt"), mapText(PRISTINE.length, [[at, 512, state]]));
      const donor = await openDonor(`${copy},map=${join(folder, "rescue.txt")}`);
      const file = await donor.file(BIG);
      const into = new Uint8Array(2048).fill(9);
      expect((await file?.read(into, 7680))?.missing).toEqual([
        { offset: 8192, length: 512, state: "poisoned" },
      ]);
      if (file !== undefined)
        expect(await knownLacks(file, { offset: 0, length: file.size })).toEqual([
          { offset: 8192, length: 512, state: "poisoned" },
        ]);
      await donor.close();
    },
  );

  test.each(["copy.img.map", "copy.img.mapfile", "copy.map", "copy.img.log"])(
    "finds ddrescue's map beside it as %s",
    async (name) => {
      const at = await bigAt(8192);
      const copy = partialCopy("copy.img", [[at, 512, "-"]]);
      writeFileSync(join(folder, name), mapText(PRISTINE.length, [[at, 512, "-"]]));
      injure(image, at, await bigAt(102_400));
      const result = await repairFrom(copy);
      expect(result.sums).toMatchObject({ bad: 1024, repaired: 512 });
      expect(result.missing).toBe(512);
    },
  );

  test("two copies with different holes heal all of it together (S59)", async () => {
    const places = await Promise.all([8192, 9216, 10_240].map(bigAt));
    injure(image, ...places);
    const copies = [0, 2].map((which) => {
      const holes = [[places[which] ?? 0, 512, "-"]] as const;
      const copy = partialCopy(`copy-${which}.img`, holes);
      writeFileSync(`${copy}.map`, mapText(PRISTINE.length, holes));
      return copy;
    });
    const result = await repairFrom(...copies);
    expect(result.missing).toBe(0);
    expect(result.steps.map(({ donor }) => donor?.index)).toEqual([1, 0, 0]);
    expect(Buffer.compare(readFileSync(image), PRISTINE)).toBe(0);
  });

  test("the copy that a salvage of ours made is known by the map beside it", async () => {
    const at = await bigAt(8192);
    const source = join(folder, "source.img");
    writeFileSync(source, PRISTINE);
    injure(source, at);
    const target = await openTarget(source);
    const copy = join(folder, "saved.img");
    await salvage(wholeTarget(target), copy);
    await target.close();
    const donor = await openDonor(copy);
    const file = await donor.file(BIG);
    expect((await file?.read(new Uint8Array(512), 8192))?.missing.length).toBe(1);
    await donor.close();
  });

  test("R1: a file of a tree that is not whole gives what the map beside it has", async () => {
    const content = FILES.get(BIG) as Uint8Array;
    const tree = join(folder, "tree");
    mkdirSync(tree);
    writeTree(tree);
    writeFileSync(`${join(tree, BIG)}.map`, mapText(content.length, [[8192, 512, "-"]]));
    const donor = await openDonor(tree);
    const file = await donor.file(BIG);
    const hole = { offset: 8192, length: 512, state: "poisoned" };
    expect((await file?.read(new Uint8Array(2048), 7680))?.missing).toEqual([hole]);
    expect(await file?.lacks?.({ offset: 0, length: 16_384 })).toEqual([hole]);
    // What else is missing stands beside it.
    const end = await file?.read(new Uint8Array(content.length), 8448);
    expect(end?.missing).toEqual([
      { offset: 8448, length: 256, state: "poisoned" },
      { offset: content.length, length: 8448, state: "unread" },
    ]);
    await file?.close();
    await donor.close();
  });

  test("R1: what the map does not speak of is missing too", async () => {
    const copy = partialCopy("copy.img", []);
    writeFileSync(`${copy}.map`, mapText(PRISTINE.length / 2, []));
    injure(image, await bigAt(8192), PRISTINE.length - 512);
    const donor = await openDonor(copy);
    const map = await openFileMap((await memoryTarget(PRISTINE)).device);
    const volume = await donor.volume(map.uuid);
    expect(volume?.device.poison.totals().poisoned).toBe(PRISTINE.length / 2);
    await donor.close();
  });

  test("a map that is none is refused with its name", async () => {
    const copy = partialCopy("copy.img", []);
    writeFileSync(`${copy}.map`, "# Mapfile. Created by GNU ddrescue\nnonsense\n");
    await expect(openDonor(copy)).rejects.toMatchObject({
      code: "EBADMSG",
      message: expect.stringContaining("copy.img.map") as string,
    });
  });

  test("one file: a copy of it that is not whole gives what its map has", async () => {
    const content = FILES.get(BIG) as Uint8Array;
    const part = Uint8Array.from(content);
    part.fill(0, 8192, 8704);
    const path = join(folder, "big.part");
    writeFileSync(path, part);
    writeFileSync(join(folder, "big.map"), mapText(content.length, [[8192, 512, "-"]]));
    const donor = await openDonor(`${BIG}=${path},map=${join(folder, "big.map")}`);
    const file = await donor.file(BIG);
    const { missing } = (await file?.read(new Uint8Array(2048), 7680)) ?? {};
    expect(missing).toEqual([{ offset: 8192, length: 512, state: "poisoned" }]);
    expect(await donor.file("/docs/archive.bin")).toBeUndefined();
    await donor.close();
  });
});

describe("openDonor() of a mirror that the target is a leg of", () => {
  const sectors = PRISTINE.length / 512;

  function mirror(rows: string, ...more: readonly string[]): string {
    const twin = join(folder, "twin.img");
    copyFileSync(image, twin);
    const stack = join(folder, "mirror.stack");
    const devices = ["device a disk.img", "device b twin.img", ...more];
    writeFileSync(stack, `${devices.join("\n")}\n${rows}\n`);
    return stack;
  }

  test("S56: a leg that is in sync is proven, whatever the file system says", async () => {
    const stack = mirror(`m: 0 ${sectors} mirror core 2 8 nosync 2 a 0 b 0`);
    injure(image, await bigAt(8192), 4096 * 2);
    const result = await repairFrom(stack);
    expect(result.missing).toBe(0);
    expect(result.steps.map(({ grade }) => grade)).toEqual(["proven", "proven"]);
    expect(Buffer.compare(readFileSync(image), PRISTINE)).toBe(0);
  });

  test("S58: what is bad in both legs stays missing", async () => {
    const stack = mirror(`m: 0 ${sectors} mirror core 2 8 nosync 2 a 0 b 0`);
    const [one, both] = [await bigAt(8192), await bigAt(8704)];
    injure(image, one, both);
    injure(join(folder, "twin.img"), both);
    const result = await repairFrom(stack);
    expect(result.missing).toBe(512);
    expect(result.sums.repaired).toBe(512);
  });

  test.each(["a 0 b 0", "b 0 a 0"])(
    "R1: legs %s that may be out of sync give nothing",
    async (legs) => {
      const stack = mirror(`m: 0 ${sectors} mirror core 1 8 2 ${legs}`);
      injure(image, await bigAt(8192));
      const donor = await openDonor(stack, { target: image });
      expect(donor.twin?.inStep({ offset: 0, length: 512 })).toBeUndefined();
      const { missing } = (await donor.twin?.device.read(new Uint8Array(512), 0)) ?? {};
      expect(missing).toEqual([{ offset: 0, length: 512, state: "unread" }]);
      await donor.close();
    },
  );

  test("a leg through a linear table, at another place, is found at the target's own addresses", async () => {
    const half = sectors / 2;
    const stack = mirror(
      [
        `l: 0 ${half} linear a ${half}`,
        `r: 0 ${half} linear b ${half}`,
        `m: 0 ${half} mirror core 2 8 nosync 2 l 0 r 0`,
      ].join("\n"),
    );
    const donor = await openDonor(stack, { target: image });
    const { twin } = donor;
    const middle = half * 512;
    expect(twin?.inStep({ offset: middle, length: 4096 })?.by).toContain("mirror");
    expect(twin?.inStep({ offset: middle - 512, length: 1024 })).toBeUndefined();
    const into = new Uint8Array(4096);
    expect(await twin?.device.read(into, middle)).toEqual({ missing: [] });
    expect(Buffer.compare(into, PRISTINE.subarray(middle, middle + 4096))).toBe(0);
    await donor.close();
  });

  test("gradeTwin() refuses a leg that differs beside the hole, although its log says it is in sync", async () => {
    const stack = mirror(`m: 0 ${sectors} mirror core 2 8 nosync 2 a 0 b 0`);
    const at = await bigAt(8192);
    injure(image, at);
    const bytes = readFileSync(join(folder, "twin.img"));
    bytes[at - 100] = (bytes[at - 100] ?? 0) ^ 1;
    writeFileSync(join(folder, "twin.img"), bytes);
    const [donor] = await openDonors([stack], { target: image });
    const target = await openTarget(image, { access: "write" });
    const { twin } = donor ?? {};
    if (twin === undefined) throw new Error("no twin");
    const verdict = await gradeTwin({ target: target.device, twin }, { offset: at, length: 512 });
    expect(verdict).toMatchObject({ grade: "refused" });
    expect(verdict.reason).toContain(`byte ${at - 100}`);
    await target.close();
    await donor?.close();
  });
});

describe("openDonor() of a stack that the target is no part of", () => {
  test("it is an image", async () => {
    const half = PRISTINE.length / 1024;
    writeFileSync(join(folder, "low"), PRISTINE.subarray(0, half * 512));
    writeFileSync(join(folder, "high"), PRISTINE.subarray(half * 512));
    const stack = join(folder, "joined.stack");
    writeFileSync(
      stack,
      `device l low\ndevice h high\nt: 0 ${half} linear l 0\nt: ${half} ${half} linear h 0\n`,
    );
    injure(image, await bigAt(8192), await bigAt(1_400_000));
    const result = await repairFrom(stack);
    expect(result.missing).toBe(0);
    expect(Buffer.compare(readFileSync(image), PRISTINE)).toBe(0);
  });

  test("what of it is bad is told by its list", async () => {
    const at = await bigAt(8192);
    writeFileSync(join(folder, "part.img"), PRISTINE);
    injure(join(folder, "part.img"), at);
    const stack = join(folder, "one.stack");
    writeFileSync(stack, `device p part.img\nt: 0 ${PRISTINE.length / 512} linear p 0\n`);
    const donor = await openDonor(stack, { target: image });
    const map = await openFileMap((await memoryTarget(PRISTINE)).device);
    const volume = await donor.volume(map.uuid);
    if (volume === undefined) throw new Error("no volume");
    expect(knownVolumeLacks(volume, { offset: at - 512, length: 2048 })).toEqual([
      { offset: at, length: 512, state: "poisoned" },
    ]);
    await donor.close();
  });
});

describe("openDonor() of a URL", () => {
  let web: WebServer;
  beforeEach(async () => {
    const etag = '"one"';
    const big = FILES.get(BIG) as Uint8Array;
    web = await startServer([
      ["/tree.img", { content: PRISTINE, etag, modified: MODIFIED_DATE }],
      [`/tree${BIG}`, { content: big, etag, modified: MODIFIED_DATE }],
      ["/tree/docs/été/naïve name.txt", { content: big, etag, modified: MODIFIED_DATE }],
    ]);
  });
  afterEach(async () => await web.end());

  test.each([
    ["an image", (url: string) => `${url}/tree.img`],
    ["a tree", (url: string) => `${url}/tree/`],
    ["one file", (url: string) => `${BIG}=${url}/tree${BIG}`],
  ])("S66: %s heals, and what is fetched is in proportion to the damage", async (_, name) => {
    injure(image, await bigAt(700_000));
    const result = await repairFrom(name(web.url));
    expect(result.missing).toBe(0);
    expect(result.steps).toMatchObject([{ outcome: "healed", grade: "consistent" }]);
    expect(Buffer.compare(readFileSync(image), PRISTINE)).toBe(0);
    expect(web.sentBytes).toBeLessThan(400_000);
  });

  test("a map says what of an image on a server counts", async () => {
    const at = await bigAt(8192);
    injure(image, at);
    writeFileSync(join(folder, "m"), mapText(PRISTINE.length, [[at, 512, "-"]]));
    const result = await repairFrom(`${web.url}/tree.img,map=${join(folder, "m")}`);
    expect(result.missing).toBe(512);
  });

  test("names of a tree are escaped byte for byte", async () => {
    const donor = await openDonor(`${web.url}/tree/`);
    expect((await donor.file("/docs/été/naïve name.txt"))?.size).toBe(1_500_000);
    expect(web.asked).toEqual(["GET /tree/docs/%C3%A9t%C3%A9/na%C3%AFve%20name.txt bytes=0-0"]);
  });

  test("a server that changes its file between plan and apply changes no byte of the target", async () => {
    injure(image, await bigAt(700_000));
    const before = readFileSync(image);
    const donors = await openDonors([`${web.url}/tree/`]);
    web.misbehave = (request) => {
      if (request.headers.range === "bytes=0-0") return false;
      web.files.set(`/tree${BIG}`, {
        content: (FILES.get(BIG) as Uint8Array).toReversed(),
        etag: '"two"',
        modified: MODIFIED_DATE,
      });
      return false;
    };
    const target = await openTarget(image, { access: "write" });
    const { missing, steps } = await repair({ target, donors });
    expect([missing, steps.map(({ action }) => action)]).toEqual([1024, ["refused"]]);
    expect(steps[0]?.reason).toContain("it changed while it was read");
    await target.close();
    await closeDonors(donors);
    expect(Buffer.compare(readFileSync(image), before)).toBe(0);
  });

  test.each(["nbx://host/x", "gopher://host/"])("refuses the scheme of %s", async (name) => {
    await expect(openDonor(name)).rejects.toThrow(RangeError);
  });
});

describe("openDonor()", () => {
  test("a directory that is named like a single file stays a tree", async () => {
    const tree = join(folder, "a=b");
    mkdirSync(tree);
    writeTree(tree);
    const file = await (await openDonor(tree)).file(BIG);
    expect(file?.size).toBe(1_500_000);
    await file?.close();
  });
});
