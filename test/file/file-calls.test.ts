/** The file calls: flags, places, buffers, handles, on every face. */
import { describe, expect, test } from "vitest";
import { createMemoryDevice, createSegment, type SimulatedDevice } from "../../src/device/index.ts";
import {
  failFastHandle,
  formatFlags,
  openFile,
  recoveryHandle,
  RWF_APPEND,
  RWF_ATOMIC,
  RWF_DONTCACHE,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOAPPEND,
  RWF_NOSIGNAL,
  RWF_NOWAIT,
  RWF_RECOVERY_DATA,
  RWF_SYNC,
  type Face,
  type File,
} from "../../src/file/index.ts";

const PAGE = 4096;
const PAGES = 8;
const FACES: readonly Face[] = ["dax", "direct", "buffered"];

function makeDevice(): SimulatedDevice {
  const bytes = Uint8Array.from({ length: PAGE * PAGES }, (_, at) => (at * 7) % 251);
  return createMemoryDevice({ bytes, poisonUnit: 64, clearUnit: 256, clear: "firmware" });
}

async function opened(
  face: Face,
): Promise<{ readonly device: SimulatedDevice; readonly file: File }> {
  const device = makeDevice();
  return { device, file: await openFile(device, { face }) };
}

describe.each(FACES)("on the %s face", (face) => {
  test("preadv2() and pwritev2() honour flags that cost nothing, and every later one is EOPNOTSUPP", async () => {
    const { file } = await opened(face);
    const page = new Uint8Array(PAGE);
    for (const flag of [0, RWF_HIPRI, RWF_NOAPPEND, RWF_NOSIGNAL, RWF_RECOVERY_DATA])
      expect(await file.preadv2(page, 0, flag)).toBe(PAGE);
    for (const flag of [RWF_DSYNC, RWF_SYNC, RWF_NOAPPEND, 0x20])
      expect(await file.pwritev2(page, 0, flag)).toBe(PAGE);
    for (const flag of [RWF_ATOMIC, 0x200, 0x400, 0x2000_0000, 0x8000_0000])
      await expect(file.pwritev2(page, 0, flag)).rejects.toMatchObject({ code: "EOPNOTSUPP" });
    await expect(file.pwritev2(page, 0, RWF_APPEND | RWF_NOAPPEND)).rejects.toMatchObject({
      code: "EINVAL",
    });
    await expect(file.pwritev2(page, 0, RWF_APPEND)).rejects.toMatchObject({ code: "ENOSPC" });
    await expect(file.preadv2(page, 0, -1)).rejects.toThrow(TypeError);
  });

  test("preadv2() honours RWF_NOWAIT on memory and RWF_DONTCACHE elsewhere", async () => {
    const { file } = await opened(face);
    const page = new Uint8Array(PAGE);
    const [honoured, refused] =
      face === "dax" ? [RWF_NOWAIT, RWF_DONTCACHE] : [RWF_DONTCACHE, RWF_NOWAIT];
    expect(await file.preadv2(page, 0, honoured)).toBe(PAGE);
    await expect(file.preadv2(page, 0, refused)).rejects.toMatchObject({ code: "EOPNOTSUPP" });
  });

  test("preadv2() fills many buffers, empty ones among them, and stops at 1,024", async () => {
    const { file } = await opened(face);
    const parts = Array.from({ length: 1024 }, (_, at) => new Uint8Array(at % 64 === 0 ? 512 : 0));
    expect(await file.preadv2(parts, 512)).toBe(16 * 512);
    const got = Buffer.concat(parts);
    expect([...got.subarray(0, 4)]).toEqual([512, 513, 514, 515].map((at) => (at * 7) % 251));
    await expect(file.preadv2([...parts, new Uint8Array(0)], 0)).rejects.toMatchObject({
      code: "EINVAL",
    });
    await expect(file.preadv2("page" as unknown as Uint8Array, 0)).rejects.toThrow(TypeError);
  });

  test("pwritev2() writes many buffers over poison in one call", async () => {
    const { device, file } = await opened(face);
    device.inject({ offset: PAGE, length: 512 });
    const parts = [new Uint8Array(PAGE).fill(1), new Uint8Array(0), new Uint8Array(PAGE).fill(2)];
    expect(await file.pwritev2(parts, 0)).toBe(2 * PAGE);
    const back = new Uint8Array(2 * PAGE);
    expect(await file.preadv2(back, 0)).toBe(2 * PAGE);
    expect([back[0], back[PAGE - 1], back[PAGE], back[2 * PAGE - 1]]).toEqual([1, 1, 2, 2]);
  });

  test("offset -1 is the position, which only such calls move", async () => {
    const { file } = await opened(face);
    const part = new Uint8Array(512);
    expect(await file.preadv2(part, -1)).toBe(512);
    expect(await file.preadv2(part, 1024)).toBe(512);
    expect(file.position).toBe(512);
    expect(await file.pwritev2(part, -1)).toBe(512);
    expect(file.position).toBe(1024);
    await expect(file.preadv2(part, -2)).rejects.toMatchObject({ code: "EINVAL" });
    await expect(file.preadv2(part, 0.5)).rejects.toThrow(TypeError);
  });

  test("preadv2() ends at the end, and pwritev2() of a device is cut there or has no space", async () => {
    const { file } = await opened(face);
    const two = new Uint8Array(2 * PAGE);
    expect(await file.preadv2(two, file.size)).toBe(0);
    expect(await file.preadv2(two, file.size - PAGE)).toBe(PAGE);
    expect(await file.pwritev2(two, file.size - PAGE)).toBe(PAGE);
    await expect(file.pwritev2(two, file.size)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(await file.pwritev2(new Uint8Array(0), file.size)).toBe(0);
    expect(await file.preadv2([], 2 ** 40)).toBe(0);
  });

  test("R1: with the flag preadv2() gives every byte up to the first bad one, and EIO only there", async () => {
    const { device, file } = await opened(face);
    device.inject({ offset: 2 * PAGE + 1024, length: 64 });
    const into = new Uint8Array(4 * PAGE);
    expect(await recoveryHandle(file).preadv2(into, 0)).toBe(2 * PAGE + 1024);
    await expect(
      file.preadv2(into.subarray(0, 512), 2 * PAGE + 1024, RWF_RECOVERY_DATA),
    ).rejects.toMatchObject({ code: "EIO", errno: -5 });
    await expect(file.preadv2(into.subarray(0, PAGE), 2 * PAGE)).rejects.toMatchObject({
      code: "EIO",
    });
  });

  test("R2, R4: with the flag pwritev2() heals a sector of a bad page", async () => {
    const { device, file } = await opened(face);
    device.inject({ offset: PAGE, length: 512 });
    expect(await file.pwritev2(new Uint8Array(512).fill(9), PAGE, RWF_RECOVERY_DATA)).toBe(512);
    const back = new Uint8Array(2 * PAGE);
    expect(await file.preadv2(back, 0)).toBe(2 * PAGE);
    expect([back[PAGE - 1], back[PAGE], back[PAGE + 512]]).toEqual(
      [PAGE - 1, 0, PAGE + 512].map((at) => (at === 0 ? 9 : (at * 7) % 251)),
    );
    expect(device.poison.empty).toBe(true);
  });

  test("R5: with the flag pwritev2() stops before what cannot be healed, and then is EIO", async () => {
    const { device, file } = await opened(face);
    device.inject({ offset: 2 * PAGE, length: 512 });
    device.setFault({ offset: 2 * PAGE, length: 512, kind: "refuses", on: true });
    const data = new Uint8Array(3 * PAGE).fill(5);
    expect(await file.pwritev2(data, PAGE, RWF_RECOVERY_DATA)).toBe(PAGE);
    await expect(file.pwritev2(data, 2 * PAGE, RWF_RECOVERY_DATA)).rejects.toMatchObject({
      code: "EIO",
      ranges: [{ offset: 2 * PAGE, length: 512, state: "poisoned" }],
    });
  });

  test("failFastHandle() stops at the first bad byte, heals nothing, and refuses the flag", async () => {
    const { device, file } = await opened(face);
    device.inject({ offset: PAGE + 512, length: 512 });
    const fast = failFastHandle(file);
    const into = new Uint8Array(2 * PAGE);
    expect(await fast.preadv2(into, 0)).toBe(PAGE + 512);
    await expect(fast.pwritev2(into.subarray(0, PAGE), PAGE)).rejects.toMatchObject({
      code: "EIO",
    });
    await expect(fast.preadv2(into, 0, RWF_RECOVERY_DATA)).rejects.toMatchObject({
      code: "EINVAL",
    });
    expect(device.poison.totals().poisoned).toBe(512);
  });

  test("R1: readRecover() gives all clean pieces and the holes in one call", async () => {
    const { device, file } = await opened(face);
    device.inject({ offset: 100, length: 64 });
    device.inject({ offset: 3 * PAGE, length: 64 }, { latent: true });
    const into = new Uint8Array(PAGES * PAGE).fill(255);
    const { length, holes } = await file.readRecover(into, 0);
    expect(length).toBe(PAGES * PAGE);
    expect(holes.map(({ offset }) => offset)).toEqual([64, 3 * PAGE]);
    const isHole = (at: number): boolean =>
      holes.some((hole) => at >= hole.offset && at < hole.offset + hole.length);
    expect(into.every((byte, at) => byte === (isHole(at) ? 255 : (at * 7) % 251))).toBe(true);
  });
});

test.each(FACES)(
  "preadv2() and pwritev2() with the flag are EOPNOTSUPP on a device without recovery: %s",
  async (face) => {
    const file = await openFile(createSegment(new Uint8Array(PAGE)), { face });
    const page = new Uint8Array(PAGE).fill(3);
    for (const call of [
      file.preadv2(page, 0, RWF_RECOVERY_DATA),
      file.pwritev2(page, 0, RWF_RECOVERY_DATA),
    ])
      await expect(call).rejects.toMatchObject({ code: "EOPNOTSUPP" });
    expect(await file.preadv2(page, 0)).toBe(PAGE);
    expect(page.every((byte) => byte === 0)).toBe(true);
  },
);

test("preadv2() of a direct file takes whole sectors only", async () => {
  const { file } = await opened("direct");
  await expect(file.preadv2(new Uint8Array(512), 1)).rejects.toMatchObject({ code: "EINVAL" });
  await expect(file.pwritev2(new Uint8Array(100), 0)).rejects.toMatchObject({ code: "EINVAL" });
  expect(await file.preadv2(new Uint8Array(100), file.size)).toBe(0);
});

test("openFile() refuses a path without a map and a closed file every call", async () => {
  await expect(openFile(makeDevice(), { path: "/a" })).rejects.toThrow(TypeError);
  const { file } = await opened("dax");
  await file.close();
  await expect(file.preadv2(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "EIO" });
});

test("formatFlags() names every flag", () => {
  expect(formatFlags(RWF_RECOVERY_DATA | RWF_DSYNC | 0x800)).toBe(
    "RWF_DSYNC|RWF_RECOVERY_DATA|0x800",
  );
  expect(formatFlags(0)).toBe("0");
});
