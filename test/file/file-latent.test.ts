/** pwritev2() with RWF_RECOVERY_DATA over poison that nobody knew: what it writes is read back, healed where it was bad, or refused (R4, R5). */
import { describe, expect, test, vi } from "vitest";
import { createPrng, MediaError } from "../../src/base/index.ts";
import {
  CLEAR_KINDS,
  createMemoryDevice,
  sliceDevice,
  type ClearKind,
  type Device,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { MemoryMedia } from "../../src/device/memory-media.ts";
import { openFile, RWF_RECOVERY_DATA, type Face } from "../../src/file/index.ts";
import { loadTable, mappedDevice, parseTable } from "../../src/mapper/index.ts";

const PAGE = 4096;
const FACES = ["dax", "direct", "buffered"] as const;
const HEALS = ["atomic", "firmware", "overwrite"] as const;

function deviceOf(clear: ClearKind): SimulatedDevice {
  const bytes = createPrng(5).bytes(4 * PAGE);
  return createMemoryDevice({ bytes, clear, poisonUnit: 256, clearUnit: 512 });
}

function listOf({ poison, size }: Device): readonly (readonly [number, number])[] {
  return [...poison.bad({ offset: 0, length: size })].map(({ offset, length }) => [offset, length]);
}

/** Writes, flagged, in buffers of some sizes, and gives the count or the error. */
async function write(
  device: Device,
  { face, offset, sizes }: { face: Face; offset: number; sizes: readonly number[] },
): Promise<number | MediaError> {
  const file = await openFile(device, { face });
  const parts = sizes.map((size) => new Uint8Array(size).fill(9));
  try {
    return await file.pwritev2(parts, offset, RWF_RECOVERY_DATA);
  } catch (error) {
    if (error instanceof MediaError) return error;
    throw error;
  }
}

async function contentOf(device: Device, missing: readonly unknown[] = []): Promise<Uint8Array> {
  const into = new Uint8Array(device.size);
  expect((await device.read(into, 0)).missing).toEqual(missing);
  return into;
}

describe.each(FACES)("RWF_RECOVERY_DATA on the %s face", (face) => {
  test.each(HEALS)(
    "R4, R5: pwritev2() heals the latent poison that it lands on, clear %s",
    async (clear) => {
      const device = deviceOf(clear);
      const wanted = await contentOf(device);
      device.inject({ offset: PAGE + 512, length: 512 }, { latent: true });
      device.inject({ offset: 2 * PAGE, length: 256 }, { latent: true });
      const sizes = [1024, 512, 2 * PAGE - 1536];
      expect(await write(device, { face, offset: PAGE, sizes })).toBe(2 * PAGE);
      expect(listOf(device)).toEqual([]);
      wanted.fill(9, PAGE, 3 * PAGE);
      expect(Buffer.compare(await contentOf(device), wanted)).toBe(0);
    },
  );

  test.each(["none", "pretends"] as const)(
    "R5: pwritev2() counts nothing from the first latent byte on that cannot be cleared, clear %s",
    async (clear) => {
      const device = deviceOf(clear);
      const bad = device.inject({ offset: PAGE + 512, length: 256 }, { latent: true });
      expect(await write(device, { face, offset: PAGE, sizes: [PAGE] })).toBe(512);
      expect(listOf(device)).toEqual([[bad.offset, bad.length]]);
      const error = await write(device, { face, offset: PAGE + 512, sizes: [PAGE] });
      expect(error).toMatchObject({ code: "EIO", ranges: [{ ...bad, state: "poisoned" }] });
      const left = await contentOf(device, [{ ...bad, state: "poisoned" }]);
      expect([left[PAGE + 511], left[PAGE + 512]]).toEqual([9, 0]);
    },
  );

  test("R5: pwritev2() over latent poison that the device refuses to clear is EIO, and lists it", async () => {
    const device = deviceOf("firmware");
    const bad = device.inject({ offset: 0, length: 256 }, { latent: true });
    device.setFault({ ...bad, kind: "refuses", on: true });
    const error = await write(device, { face, offset: 0, sizes: [512] });
    expect(error).toMatchObject({ code: "EIO", ranges: [bad] });
    expect(listOf(device)).toEqual([[0, 256]]);
  });

  test("R2: pwritev2() over a part of what was latent keeps clean neighbours; the rest of the unit is lost", async () => {
    const device = deviceOf("firmware");
    const wanted = await contentOf(device);
    device.inject({ offset: PAGE, length: 256 }, { latent: true });
    const [offset, size] = face === "direct" ? [PAGE, 512] : [PAGE + 100, 50];
    expect(await write(device, { face, offset, sizes: [size] })).toBe(size);
    const states = [...device.poison.states({ offset: PAGE, length: 256 })].map(
      ({ length, state }) => [length, state],
    );
    const split = [
      [100, "lost"],
      [50, "clean"],
      [106, "lost"],
    ];
    expect(states).toEqual(face === "direct" ? [[256, "clean"]] : split);
    const { missing } = device.readSync(new Uint8Array(256), PAGE);
    const now = await contentOf(device, missing);
    wanted.fill(9, offset, offset + size);
    expect(Buffer.compare(now.subarray(PAGE + 256), wanted.subarray(PAGE + 256))).toBe(0);
  });

  test("pwritev2() heals latent poison through a table and through a slice", async () => {
    const device = deviceOf("firmware");
    const rows = parseTable("0 16 linear disk 16\n16 16 linear disk 0\n", "table");
    const table = mappedDevice(loadTable(rows, { path: "table", lookup: () => device }), {
      name: "table",
    });
    device.inject({ offset: 512, length: 256 }, { latent: true });
    expect(await write(table, { face, offset: 2 * PAGE, sizes: [PAGE] })).toBe(PAGE);
    const slice = sliceDevice(device, { offset: PAGE, length: 2 * PAGE });
    device.inject({ offset: PAGE + 512, length: 256 }, { latent: true });
    expect(await write(slice, { face, offset: 0, sizes: [PAGE] })).toBe(PAGE);
    expect(listOf(device)).toEqual([]);
    const now = await contentOf(device);
    expect(now.subarray(0, 2 * PAGE).every((byte) => byte === 9)).toBe(true);
  });
});

test("an error that passes does not make pwritev2() with the flag clear anything", async () => {
  for (const face of FACES) {
    const device = deviceOf("none");
    device.setFault({ offset: 0, length: 512, kind: "transient", on: true });
    expect(await write(device, { face, offset: 0, sizes: [PAGE] })).toBe(PAGE);
    expect(listOf(device)).toEqual([]);
  }
});

test("R6: stands() reads nothing where no latent poison can be, and reads where it can", () => {
  const device = deviceOf("firmware");
  const { direct } = device;
  const reads = vi.spyOn(MemoryMedia.prototype, "readSync");
  device.inject({ offset: PAGE, length: 256 }, { latent: true });
  const data = new Uint8Array(PAGE).fill(9);
  reads.mockClear();
  direct?.store(data, 0);
  expect(direct?.stands(data, 0)).toBe(true);
  expect(reads).not.toHaveBeenCalled();
  direct?.store(data, PAGE);
  expect(direct?.stands(data, PAGE)).toBe(false);
  expect(reads).toHaveBeenCalled();
  expect(listOf(device)).toEqual([[PAGE, 256]]);
  reads.mockRestore();
});

test.each(CLEAR_KINDS)(
  "without the flag latent poison stays under a store, clear %s",
  async (clear) => {
    const device = deviceOf(clear);
    device.inject({ offset: PAGE, length: 256 }, { latent: true });
    const file = await openFile(device, { face: "dax" });
    expect(await file.pwritev2(new Uint8Array(PAGE), PAGE)).toBe(PAGE);
    const isHealed = clear === "overwrite";
    expect(device.readSync(new Uint8Array(256), PAGE).missing.length).toBe(isHealed ? 0 : 1);
  },
);
