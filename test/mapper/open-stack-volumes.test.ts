/** openStack, stack-scope: volumes in stack files: read when the stack is opened, from members of any kind, in no circle. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openDevice } from "../../src/device/index.ts";
import {
  findVolumes,
  formatRow,
  formatStack,
  imageSize,
  openStack,
  parseStack,
  tablesOf,
} from "../../src/mapper/index.ts";
import {
  groupText,
  logicalVolume,
  physicalVolume,
  stripes,
  uuidOf,
} from "./volumes/support/lvm-image.ts";
import { mdMember } from "./volumes/support/md-image.ts";
import { mbrSector } from "./support/fake-disk.ts";

const COMPONENT = 232;
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-volumes-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, bytes: Uint8Array | string): string {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
}

/** A mirror of two that holds a physical volume with one logical volume of 4096 bytes from sector 64 on, and what that holds. */
function writeDisks(): Uint8Array {
  const text = groupText(logicalVolume("lv", [stripes(0, 1, [["pv0", 0]])]), { count: 1 });
  const inner = Buffer.from(
    physicalVolume({ uuid: uuidOf(0).plain, texts: [text], size: COMPONENT * 512 }),
  );
  const data = new Uint8Array(4096).map((_, at) => 1 + (at % 251));
  inner.set(data, 64 * 512);
  for (const number of [0, 1]) {
    const member = mdMember({
      version: "1.2",
      level: 1,
      raidDisks: 2,
      number,
      component: COMPONENT,
    });
    member.set(inner, 16 * 512);
    write(`d${number}.img`, member);
  }
  return data;
}

const STACK = "device d0 d0.img\ndevice d1 d1.img\nmd m d0 d1\nlvm root vg/lv m\n";

describe("openStack() of volumes", () => {
  test("reads LVM on an array; a part, a list, a seam and a nested stack change nothing", async () => {
    const data = writeDisks();
    const path = write("s.stack", STACK);
    const outer = write("outer.stack", "device in s.stack\ntop: 0 8 linear in 0\n");
    for (const [name, checked] of [
      [path, false],
      [path, true],
      [outer, false],
    ] as const) {
      const { device } = await openStack(name, { checked });
      const bytes = new Uint8Array(device.size);
      expect((await device.read(bytes, 0, "recovery")).missing).toEqual([]);
      expect(Buffer.compare(bytes, data)).toBe(0);
      await device.close();
    }
    expect(await imageSize(path)).toBe(4096);
  });

  test("R1: a member that is gone is said to be, by the word missing", async () => {
    const data = writeDisks();
    const text = STACK.replace("device d1 d1.img\n", "");
    await expect(async () => openStack(write("s.stack", text.replace(" d1", "")))).rejects.toThrow(
      "want it too, or the word missing",
    );
    const { device, notes } = await openStack(write("s.stack", text.replace(" d1", " missing")));
    const bytes = new Uint8Array(device.size);
    await device.read(bytes, 0);
    expect(Buffer.compare(bytes, data)).toBe(0);
    expect(notes).toEqual(["m: Member 1 is missing"]);
    await device.close();
  });

  test("prints back to the byte, and what it became is tables", async () => {
    writeDisks();
    const path = write("s.stack", STACK);
    expect(formatStack(parseStack(STACK, path))).toBe(STACK);
    const { device, table } = await openStack(path);
    expect(tablesOf(table).map((one) => one.rows.map(({ row }) => formatRow(row)))).toEqual([
      ["0 8 linear m 64"],
      [`0 ${COMPONENT} mirror core 2 128 nosync 2 d0 16 d1 16`],
    ]);
    await device.close();
  });

  test("R1: poison in the metadata of one leg is read from the other; in both it is refused with its bytes", async () => {
    const data = writeDisks();
    const path = write("s.stack", STACK);
    const poison = (name: string): void => {
      const image = openDevice(join(folder, name), { access: "write" });
      image.recordBad({ offset: 16 * 512 + 4096, length: 512 }, "poisoned");
      image.flush();
      image.close();
    };
    poison("d0.img");
    const { device } = await openStack(path);
    const bytes = new Uint8Array(device.size);
    await device.read(bytes, 0, "recovery");
    expect(Buffer.compare(bytes, data)).toBe(0);
    await device.close();
    poison("d1.img");
    await expect(async () => openStack(path)).rejects.toThrow(
      "describe no group: want vg; m: Bytes 4096 to 4608 cannot be read, the header of a metadata area",
    );
  });

  test("R1: heals through a volume reach both legs, and closing leaves the images free", async () => {
    writeDisks();
    const path = write("s.stack", STACK);
    const { device } = await openStack(path, { access: "write" });
    device.recordBad({ offset: 512, length: 512 }, "poisoned");
    expect(await device.heal([{ offset: 512, data: new Uint8Array(512).fill(9) }])).toEqual([
      undefined,
    ]);
    await device.flush();
    await device.close();
    for (const name of ["d0.img", "d1.img"]) {
      const image = openDevice(join(folder, name), { access: "write" });
      const bytes = new Uint8Array(512);
      await image.read(bytes, (16 + 64 + 1) * 512);
      expect(bytes).toEqual(new Uint8Array(512).fill(9));
      image.close();
    }
  });

  test.each([
    ["md a b\nmd b a\n", "line 3: want no circle: b stands on itself"],
    ["md a t\nt: 0 8 linear a 0\ntop a\n", "line 2: want no circle: a stands on itself"],
    ["md a x\n", 'line 2: Device lookup failed: want a device that the file names: got "x"'],
    ["md a\n", 'line 2: want "md NAME MEMBER..."'],
    ["lvm a vg d0\n", 'want "md NAME MEMBER..." or "lvm NAME VG/LV MEMBER..."'],
    ["lvm a vg/x/y d0\n", 'want "md NAME MEMBER..."'],
    ["md d0 d0\n", 'line 2: want a name of its own: line 1 is called "d0" too'],
    ["md a d0 d0\n", "d0 and d0 are both member 0: want each once"],
    ["lvm a vg/lv d0\n", "d0 has no label of LVM2"],
  ])("%j is refused, and the images are free again", async (text, message) => {
    writeDisks();
    const path = write("s.stack", `device d0 d0.img\n${text}`);
    await expect(async () => openStack(path, { access: "write" })).rejects.toThrow(message);
    openDevice(join(folder, "d0.img"), { access: "write" }).close();
  });

  test("volumes that the top does not stand on are not read", async () => {
    writeDisks();
    const path = write("s.stack", "device d0 d0.img\nmd broken nothing\nt: 0 8 linear d0 0\n");
    const { device, notes } = await openStack(path);
    expect([device.size, notes]).toEqual([4096, []]);
    await device.close();
  });
});

describe("findVolumes()", () => {
  test("finds an array on partitions, and LVM on it, and writes a stack that opens", async () => {
    const data = writeDisks();
    for (const name of ["d0", "d1"]) {
      const disk = new Uint8Array(200 * 1024);
      mbrSector(disk, [{ slot: 0, type: 0xfd, first: 64, count: 256 }]);
      const member = openDevice(join(folder, `${name}.img`));
      const bytes = new Uint8Array(131_072);
      await member.read(bytes, 0);
      member.close();
      disk.set(bytes, 64 * 512);
      write(`a ${name}.img`, disk);
    }
    const { text, notes } = await findVolumes([join(folder, "a d0.img"), join(folder, "a d1.img")]);
    expect(notes).toEqual([]);
    expect(formatStack(text).replaceAll(`${folder}/`, "")).toBe(
      [
        "device a_d0 a d0.img\ndevice a_d1 a d1.img\nmd name a_d0p1 a_d1p1\nlvm vg-lv vg/lv name",
        "a_d0p1: 0 256 linear a_d0 64\na_d1p1: 0 256 linear a_d1 64\ntop vg-lv\n",
      ].join("\n"),
    );
    const { device } = await openStack(write("found.stack", formatStack(text)));
    const bytes = new Uint8Array(device.size);
    await device.read(bytes, 0);
    expect(Buffer.compare(bytes, data)).toBe(0);
    await device.close();
  });

  test("tells what is there but cannot be used, and refuses where there is nothing", async () => {
    writeDisks();
    const stripe = mdMember({ version: "1.2", level: 0, raidDisks: 2, number: 0, uuid: 0x33 });
    const other = write("other.img", stripe);
    const { text, notes } = await findVolumes([
      other,
      join(folder, "d0.img"),
      join(folder, "d1.img"),
    ]);
    expect(text.devices.map(({ name }) => name)).toEqual(["d0", "d1"]);
    expect(notes[0]).toContain("want all 2 members");
    mkdirSync(join(folder, "empty"));
    const none = write("empty/none.img", new Uint8Array(8192));
    await expect(findVolumes([none])).rejects.toThrow(
      "ENXIO: Cannot find volumes: want physical volumes",
    );
    await expect(findVolumes([other])).rejects.toThrow("want all 2 members");
  });
});
