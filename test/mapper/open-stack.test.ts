/** openStack: files named by a stack are opened once, keep their own lists, and what cannot be a stack is refused with nothing written. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createImage, openDevice } from "../../src/device/index.ts";
import { imageSize, openImage, openStack, walkDown } from "../../src/mapper/index.ts";

const SIZE = 65_536;
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-stack-"));
  for (const name of ["a.img", "b.img"]) createImage(join(folder, name), { size: SIZE }).close();
});
afterEach(() => rmSync(folder, { recursive: true }));

function stack(text: string, name = "s.stack"): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const STRIPED = "device a a.img\ndevice b b.img\ns: 0 256 striped 2 8 a 0 b 0\n";
const ALL = { offset: 0, length: SIZE * 2 };

describe("openStack()", () => {
  test("opens images beside the stack file, and each keeps its own list", async () => {
    const path = stack(STRIPED);
    const { device } = await openStack(path, { access: "write" });
    expect(device.size).toBe(await imageSize(path));
    device.recordBad({ offset: 4096, length: 64 }, "poisoned");
    await device.close();
    const b = openDevice(join(folder, "b.img"));
    expect([...b.poison.bad({ offset: 0, length: SIZE })]).toEqual([
      { offset: 0, length: 64, state: "poisoned" },
    ]);
    b.close();
    const again = await openImage(path);
    expect([...again.poison.bad(ALL)]).toEqual([{ offset: 4096, length: 64, state: "poisoned" }]);
    await again.close();
  });

  test("opens an image once, whatever names and stacks lead to it", async () => {
    stack("device one a.img\ninner: 0 64 linear one 64\n", "inner.stack");
    const path = stack(
      "device x ./a.img\ndevice n inner.stack\nt: 0 64 linear x 0\nt: 64 64 linear n 0\n",
    );
    for (const checked of [false, true]) {
      const { device } = await openStack(path, { access: "write", checked });
      const data = new Uint8Array(SIZE).fill(checked ? 9 : 7);
      await device.write(data, 0);
      await device.close();
      const a = openDevice(join(folder, "a.img"));
      const bytes = new Uint8Array(SIZE);
      await a.read(bytes, 0);
      expect(Buffer.compare(bytes, data)).toBe(0);
      a.close();
    }
  });

  test("closing drops every lock, after a failure too", async () => {
    const path = stack(STRIPED);
    const { device } = await openStack(path, { access: "write" });
    expect(() => openStack(path, { access: "write" })).toThrow("EBUSY");
    await device.close();
    await device.close();
    expect(() => openStack(stack(`${STRIPED}t: 0 8 linear s 0\nt: 8 8 linear s 4\n`))).toThrow(
      "used twice",
    );
    openDevice(join(folder, "a.img"), { access: "write" }).close();
  });

  test("R4: gives a list that came with it to the images whose bytes it names, and brings nothing back", async () => {
    const path = stack(STRIPED);
    const list = [{ offset: 4000, length: 5000, state: "poisoned" as const }];
    for (const checked of [false, true]) {
      const { device } = await openStack(path, { poison: list, checked });
      expect([...device.poison.bad(ALL)]).toEqual(list);
      await device.close();
    }
    const { device } = await openStack(path, { access: "write", poison: list });
    await device.write(new Uint8Array(512), 4096, "recovery");
    await device.close();
    const again = await openStack(path, { poison: list });
    expect(again.device.poison.totals().poisoned).toBe(5000 - 512);
    await again.device.close();
  });

  test("R4: a list over a mirror speaks of every leg that counts, and what an image knows better stays", async () => {
    const path = stack(
      "device a a.img\ndevice b b.img\nm: 0 128 mirror core 2 8 nosync 2 a 0 b 0\n",
    );
    const b = openDevice(join(folder, "b.img"), { access: "write" });
    b.recordRead({ offset: 4096, length: 64 });
    b.close();
    const poison = [{ offset: 4096, length: 128, state: "poisoned" as const }];
    for (const checked of [false, true]) {
      const { device, table } = await openStack(path, { poison, checked });
      expect([...device.poison.bad({ offset: 0, length: SIZE })]).toEqual([
        { offset: 4160, length: 64, state: "poisoned" },
      ]);
      const places = walkDown(table, 4100).below.map(({ state, offset }) => ({ state, offset }));
      expect(places).toEqual([
        { state: "poisoned", offset: 4100 },
        { state: "clean", offset: 4100 },
      ]);
      await device.close();
    }
  });

  test.each([
    ["a: 0 8 linear b 0\nb: 0 8 linear a 0\n", "want no circle of tables: got b -> a -> b"],
    ["a: 0 8 linear a 0\n", "want no circle of tables: got a -> a"],
    ["device s s.stack\na: 0 8 linear s 0\n", "want no circle of stack files"],
    ["device a none.img\nt: 0 8 linear a 0\n", "ENOENT"],
    [
      "device a a.img\ndevice b ./a.img\nt: 0 8 linear a 0\nt: 8 8 linear b 0\n",
      "line 4: sector 0 of",
    ],
    [
      "device a a.img\nl: 0 16 linear a 0\nr: 0 16 linear a 8\nt: 0 32 striped 2 8 l 0 r 0\n",
      "line 3: sector 8 of",
    ],
    [
      "window w 0 8 a.img\nwindow v 7 8 a.img\nt: 0 8 linear w 0\nt: 8 8 linear v 0\n",
      "sector 7 of a.img is used twice",
    ],
    ["window w 120 16 a.img\nt: 0 16 linear w 0\n", "want it inside 65536 bytes"],
    ["device a a.img\nt: 0 129 linear a 0\n", "too small for target"],
  ])("%j is refused: %s", (text, message) => {
    const before = readdirSync(folder);
    const path = stack(text);
    expect(() => openStack(path, { access: "write" })).toThrow(message);
    expect(readdirSync(folder).sort()).toEqual([...before, "s.stack"].sort());
    openDevice(join(folder, "a.img"), { access: "write" }).close();
  });

  test("maps images for direct access where that is wanted", async () => {
    const { device } = await openStack(stack(STRIPED), { map: true });
    expect(device.direct?.probe(0, 8, "access")).toBe(1);
    await device.close();
  });

  test("a stack over a segment or window says that it has no recovery, and refuses before any byte moves", async () => {
    writeFileSync(join(folder, "rom.img"), Buffer.alloc(8192, 5));
    const path = stack(
      "device a a.img\nwindow w 0 8 rom.img\nt: 0 8 linear a 0\nt: 8 8 linear w 0\n",
    );
    const { device } = await openStack(path, { access: "write", map: true });
    expect(device.capabilities).toMatchObject({ recovers: false, clear: "none" });
    expect(device.direct?.probe(1, 1, "access")).toBe(1);
    const whole = new Uint8Array(8192).fill(9);
    const refused = (call: () => unknown) =>
      expect((async () => await call())()).rejects.toMatchObject({ code: "EOPNOTSUPP" });
    await refused(() => device.write(whole, 0, "recovery"));
    await refused(() => device.read(whole, 0, "recovery"));
    expect((await device.heal([{ offset: 0, data: whole }]))[0]).toMatchObject({
      code: "EOPNOTSUPP",
    });
    await device.read(whole, 0);
    expect(whole.subarray(0, 4096).every((byte) => byte === 0)).toBe(true);
    expect(whole.subarray(4096).every((byte) => byte === 5)).toBe(true);
    await device.close();
  });
});
