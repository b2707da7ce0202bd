/** openTarget: what is found on images with and without tables, whole and broken, and what is refused. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adoptImage } from "../../src/device/index.ts";
import { openTarget, readPoisonList } from "../../src/rescue/open-target.ts";
import type { Target } from "../../src/rescue/target.ts";
import { gptDisk, mbrSector } from "../mapper/support/fake-disk.ts";

const MIB = 1024 * 1024;
const hasMke2fs = spawnSync("mke2fs", ["-V"]).error === undefined;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-target-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function image(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Opens a target, closes it, and gives what it said; R7: volumes and outside cover it without a gap. */
async function look(path: string, poison?: string): Promise<Target> {
  const target = await openTarget(path, poison === undefined ? {} : { poison });
  await target.close();
  const parts = [...target.volumes, ...target.outside].toSorted(
    (one, other) => one.offset - other.offset,
  );
  let end = 0;
  for (const part of parts) {
    expect(part.offset).toBe(end);
    end += part.length;
  }
  expect(end).toBe(target.device.size);
  return target;
}

function gpt(): Uint8Array {
  const entries = [
    { slot: 0, first: 2048, last: 4095 },
    { slot: 1, first: 6144, last: 8191 },
  ];
  return gptDisk({ sectors: 16_384, entries });
}

describe("openTarget()", () => {
  test("takes an image without a table as one volume, and says why it has no map", async () => {
    const target = await look(image("plain", new Uint8Array(MIB)));
    expect(target.volumes).toMatchObject([{ name: "", offset: 0, length: MIB, map: undefined }]);
    expect(target.volumes[0]?.why).toContain("no file system that is known");
    expect(target.outside).toEqual([]);
    expect(target.notes).toEqual([]);
  });

  test("names partitions, the table's own bytes and the space between", async () => {
    const target = await look(image("gpt", gpt()));
    expect(target.volumes.map(({ name, offset }) => [name, offset])).toEqual([
      ["partition 1", MIB],
      ["partition 2", 3 * MIB],
    ]);
    expect(target.outside.map(({ what }) => what)).toEqual([
      "partition-table",
      "unpartitioned",
      "unpartitioned",
      "unpartitioned",
      "partition-table",
    ]);
  });

  test("does not call space unpartitioned where the table is not whole", async () => {
    const bytes = new Uint8Array(8 * MIB);
    mbrSector(bytes, [
      { slot: 0, type: 0x83, first: 2048, count: 2048 },
      { slot: 1, type: 5, first: 8192, count: 4096 },
    ]);
    const target = await look(image("broken", bytes));
    expect(target.outside.map(({ what }) => what)).toEqual(["partition-table"]);
    expect(target.volumes.map(({ name, why }) => [name.split(" ")[0], why?.slice(0, 30)])).toEqual([
      ["unknown", "The partition table is not who"],
      ["partition", "There is no file system that i"],
      ["unknown", "The partition table is not who"],
    ]);
    expect(target.notes?.join()).toContain("has no signature");
  });

  test("brings a list in any of the texts, in memory only", async () => {
    const path = image("listed", new Uint8Array(MIB));
    const list = image("listed.bad", Buffer.from("8 2\n100 1\n"));
    const target = await look(path, list);
    expect(target.device.poison.totals()).toMatchObject({ poisoned: 3 * 512, clean: 0 });
    const map = image("listed.map", Buffer.from("0 ? 1\n0 0x1000 +\n0x1000 0xff000 -\n"));
    expect((await look(path, map)).device.poison.totals()).toMatchObject({
      poisoned: MIB - 4096,
      clean: 4096,
    });
    expect((await look(path)).device.poison.empty).toBe(true);
  });

  test("R4: a list does not bring back what the image's own list says is healed", async () => {
    const path = image("healed", new Uint8Array(MIB));
    const device = adoptImage(path);
    device.inject({ offset: 4096, length: 512 });
    device.write(new Uint8Array(512), 4096, "recovery");
    device.close();
    const list = image("healed.bad", Buffer.from("8 1\n16 1\n"));
    const target = await look(path, list);
    expect([...target.device.poison.bad({ offset: 0, length: MIB })]).toEqual([
      { offset: 8192, length: 512, state: "poisoned" },
    ]);
  });

  test.each([
    ["a missing file", "ENOENT", () => join(folder, "nothing")],
    ["a directory", "EISDIR", () => (mkdirSync(join(folder, "dir")), join(folder, "dir"))],
    ["an empty file", "EBADMSG", () => image("empty", new Uint8Array(0))],
  ])("refuses %s", async (_what, code, make) => {
    await expect(openTarget(make())).rejects.toMatchObject({ name: "StorageError", code });
  });

  test("refuses a file that may not be read; root may", async () => {
    const path = image("closed", new Uint8Array(MIB));
    chmodSync(path, 0);
    const outcome = await openTarget(path).then(
      (target) => target.close().then(() => "opened"),
      (error: unknown) => (error as { code: string }).code,
    );
    expect(outcome).toBe(process.getuid?.() === 0 ? "opened" : "EACCES");
  });

  test.each([
    ["is missing", "ENOENT", undefined],
    ["names bytes past the end", "EBADMSG", "99999999 1\n"],
    ["is nonsense", "EBADMSG", "this is no list\n"],
    ["is JSON of another shape", "EBADMSG", '{"badblocks": 7, "dev": "pmem0"}'],
  ])("refuses a list that %s, and leaves the image free", async (what, code, text) => {
    const path = image("free", new Uint8Array(MIB));
    const list = join(folder, `list ${what}`);
    if (text !== undefined) writeFileSync(list, text);
    await expect(openTarget(path, { access: "write", poison: list })).rejects.toMatchObject({
      code,
    });
    await (await openTarget(path, { access: "write" })).close();
  });
});

describe("readPoisonList()", () => {
  test("gives ranges and what the text leaves open", async () => {
    const list = image("notes", Buffer.from("0 4\n"));
    expect(await readPoisonList(list, 1024)).toMatchObject({
      ranges: [{ offset: 0, length: 1024 }],
    });
  });
});

describe.skipIf(!hasMke2fs)("openTarget() on ext4 (skipped where mke2fs is missing)", () => {
  /** A GPT disk whose second partition is an ext4 file system. */
  function disk(name: string): string {
    const part = join(folder, `${name}.part`);
    writeFileSync(part, "");
    truncateSync(part, MIB);
    execFileSync("mke2fs", [
      "-q",
      "-t",
      "ext4",
      "-O",
      "^has_journal",
      "-U",
      "01020304-0506-0708-090a-0b0c0d0e0f10",
      part,
    ]);
    const bytes = gpt();
    bytes.set(readFileSync(part), 3 * MIB);
    return image(name, bytes);
  }

  test("opens the map of each partition", async () => {
    const target = await look(disk("ext4"));
    expect(target.volumes[1]?.map).toMatchObject({
      filesystem: "ext4",
      uuid: "01020304-0506-0708-090a-0b0c0d0e0f10",
      size: MIB,
    });
    expect(target.volumes[0]?.map).toBeUndefined();
  });

  test("opens them from the backup of the table too, with a note", async () => {
    const path = disk("backup");
    const target = await look(path, image("backup.bad", Buffer.from("0 3\n")));
    expect(target.volumes[1]?.map?.filesystem).toBe("ext4");
    expect(target.notes?.join()).toContain("The first sector cannot be read");
  });

  test("opens one file system over the whole image, also under 55 AA, and with its first sector poisoned", async () => {
    const path = join(folder, "superfloppy");
    writeFileSync(path, "");
    truncateSync(path, 2 * MIB);
    execFileSync("mke2fs", ["-q", "-t", "ext4", "-O", "^has_journal", path]);
    const file = openSync(path, "r+");
    writeSync(file, Buffer.from([0x55, 0xaa]), 0, 2, 510);
    closeSync(file);
    for (const list of ["", "0 1\n"]) {
      const target = await look(path, image("superfloppy.bad", Buffer.from(list)));
      expect(target.volumes).toMatchObject([{ name: "", map: { filesystem: "ext4" } }]);
    }
  });

  test("says that an image was cut off", async () => {
    const path = join(folder, "cut");
    writeFileSync(path, "");
    truncateSync(path, 8 * MIB);
    execFileSync("mke2fs", ["-q", "-t", "ext4", path]);
    truncateSync(path, 5 * MIB);
    const target = await look(path);
    expect(target.notes?.join() + (target.volumes[0]?.why ?? "")).toMatch(/cut off|8388608/);
  });
});
