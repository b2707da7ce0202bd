/** Opening images: with a sidecar and without, with a list, locked, cut short, copied. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StorageError } from "../../src/base/index.ts";
import {
  adoptImage,
  createImage,
  openDevice,
  scrub,
  SimulatedDevice,
} from "../../src/device/index.ts";
import { formatMapfile } from "../../src/poison/index.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-open-"));
  path = join(folder, "disk.img");
});
afterEach(() => rmSync(folder, { recursive: true }));

const SIZE = 65_536;
const BAD = [{ offset: 1000, length: 100, state: "poisoned" as const }];

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
  return "none";
}

describe("openDevice()", () => {
  test("a plain image has no known poison, and gets no sidecar by being read", async () => {
    writeFileSync(path, new Uint8Array(SIZE).fill(3));
    const device = openDevice(path);
    await scrub(device);
    expect(device.poison.totals()).toEqual({
      total: SIZE,
      clean: SIZE,
      unread: 0,
      poisoned: 0,
      lost: 0,
    });
    expect(codeOf(() => device.write(new Uint8Array(1), 0))).toBe("EACCES");
    device.close();
    expect(existsSync(`${path}.theriac`)).toBe(false);
  });

  test("a list brings nothing back that was healed since", () => {
    writeFileSync(path, new Uint8Array(SIZE).fill(3));
    const device = openDevice(path, { access: "write", poison: BAD });
    device.write(new Uint8Array(40).fill(9), 1020);
    device.close();
    for (const access of ["read", "write"] as const) {
      const again = openDevice(path, { access, poison: BAD });
      expect([...again.poison.bad({ offset: 0, length: SIZE })]).toEqual([
        { offset: 1000, length: 20, state: "poisoned" },
        { offset: 1060, length: 40, state: "poisoned" },
      ]);
      again.close();
    }
  });

  test("a list for reading only is told, and leaves nothing behind", () => {
    writeFileSync(path, new Uint8Array(SIZE));
    const device = openDevice(path, { poison: BAD });
    expect(device.readSync(new Uint8Array(SIZE), 0).missing).toEqual(BAD);
    device.close();
    expect(existsSync(`${path}.theriac`)).toBe(false);
  });

  test("an image of another size than its sidecar's is refused, and nothing changes", () => {
    createImage(path, { size: SIZE }).close();
    const before = readFileSync(`${path}.theriac`);
    truncateSync(path, SIZE / 2);
    expect(codeOf(() => openDevice(path, { access: "write" }))).toBe("ESTALE");
    expect(Buffer.compare(readFileSync(`${path}.theriac`), before)).toBe(0);
  });

  test("an image that gets shorter while it is open fails, and gives no zeros (R1)", () => {
    writeFileSync(path, new Uint8Array(SIZE).fill(1));
    const device = openDevice(path);
    truncateSync(path, 1000);
    expect(codeOf(() => device.readSync(new Uint8Array(4096), 0))).toBe("ESTALE");
    device.close();
  });

  test("a damaged sidecar is refused and named", () => {
    createImage(path, { size: SIZE }).close();
    writeFileSync(`${path}.theriac`, "garbage");
    expect(codeOf(() => openDevice(path))).toBe("EBADMSG");
    expect(codeOf(() => openDevice(path))).toBe("EBADMSG");
  });

  test("a writer is alone, readers are not", () => {
    createImage(path, { size: SIZE }).close();
    const one = openDevice(path);
    openDevice(path).close();
    expect(codeOf(() => openDevice(path, { access: "write" }))).toBe("EBUSY");
    one.close();
    openDevice(path, { access: "write" }).close();
  });

  test("an image copied without its sidecar does not look clean", async () => {
    const device = createImage(path, { size: SIZE });
    device.inject({ offset: 5000, length: 500 });
    device.inject({ offset: 9000, length: 10 }, { latent: true });
    device.close();
    const copy = join(folder, "copy.img");
    copyFileSync(path, copy);
    const plain = openDevice(copy);
    const { foundBytes, totals } = await scrub(plain);
    expect(foundBytes).toBe(512 + 64);
    expect(totals.poisoned).toBe(576);
    plain.close();
  });
});

describe("createImage() and adoptImage()", () => {
  test("an image keeps its settings, faults and list", () => {
    const made = createImage(path, {
      size: SIZE,
      poisonUnit: 512,
      clearUnit: 4096,
      clear: "overwrite",
      pageSize: 8192,
      slowMs: 1,
    });
    made.inject({ offset: 1, length: 1 });
    made.inject({ offset: 5000, length: 1 }, { latent: true });
    made.setFault({ offset: 0, length: 10, kind: "slow", on: true });
    const { uuid } = made.identity;
    made.close();
    const device = openDevice(path);
    expect(device).toBeInstanceOf(SimulatedDevice);
    expect(device.capabilities).toMatchObject({
      poisonUnit: 512,
      clearUnit: 4096,
      clear: "overwrite",
      pageSize: 8192,
    });
    expect(device.identity).toEqual({ name: path, uuid, generation: 1 });
    expect([...device.poison.bad({ offset: 0, length: SIZE })]).toEqual([
      { offset: 0, length: 512, state: "poisoned" },
    ]);
    expect([...(device as SimulatedDevice).faults()].map(({ kind }) => kind)).toEqual([
      "poison",
      "poison",
      "slow",
    ]);
    device.close();
  });

  test("an image has one list, whatever links lead to it", () => {
    createImage(path, { size: SIZE }).close();
    const link = join(folder, "link.img");
    symlinkSync("disk.img", link);
    const device = openDevice(path, { access: "write" });
    device.recordBad({ offset: 4096, length: 64 }, "poisoned");
    device.close();
    const linked = openDevice(link);
    expect(linked.poison.totals().poisoned).toBe(64);
    linked.close();
    expect(codeOf(() => adoptImage(link))).toBe("EEXIST");
    expect(existsSync(`${link}.theriac`)).toBe(false);
  });

  test("a list of a hundred thousand tiny ranges cuts a read into as many pieces", async () => {
    writeFileSync(path, new Uint8Array(4 * 1024 * 1024).fill(5));
    const poison = Array.from({ length: 131_072 }, (_, index) => ({
      offset: index * 32,
      length: 16,
      state: "poisoned" as const,
    }));
    const device = openDevice(path, { poison });
    const into = new Uint8Array(4 * 1024 * 1024);
    const { missing } = await device.read(into, 0, "recovery");
    expect(missing.length).toBe(131_072);
    expect([into[0], into[16], into[31], into[32]]).toEqual([0, 5, 5, 0]);
    device.close();
  });

  test("createImage() calls every byte unread, and an image nobody read is `?` in a map", () => {
    const device = createImage(path, { size: SIZE });
    device.inject({ offset: 4096, length: 64 }, { latent: true });
    expect(device.poison.totals()).toMatchObject({ clean: 0, unread: SIZE, poisoned: 0 });
    const map = [...formatMapfile(device.poison)].join("");
    expect(map).toMatch(/^0x0+ +0x0*10000 +\?$/m);
    expect(map).not.toMatch(/^0x.*\+$/m);
    device.close();
  });

  test("adoptImage() changes no byte of the image, and calls every byte unread", () => {
    writeFileSync(path, new Uint8Array(SIZE).fill(7));
    const device = adoptImage(path);
    expect(device.poison.totals().unread).toBe(SIZE);
    device.close();
    expect(readFileSync(path).every((byte) => byte === 7)).toBe(true);
    expect(codeOf(() => adoptImage(path))).toBe("EEXIST");
  });

  test("createImage() refuses what is there, and leaves nothing where it fails", () => {
    writeFileSync(path, "mine");
    expect(codeOf(() => createImage(path, { size: SIZE }))).toBe("EEXIST");
    expect(readFileSync(path, "utf8")).toBe("mine");
    const gone = join(folder, "no", "disk.img");
    expect(codeOf(() => createImage(gone, { size: SIZE }))).toBe("ENOENT");
    for (const bad of [
      { size: 100 },
      { size: 0 },
      { size: SIZE, poisonUnit: 3 },
      { size: SIZE, poisonUnit: 512, clearUnit: 64 },
      { size: SIZE, slowMs: -1 },
    ]) {
      expect(() => createImage(join(folder, "new.img"), bad)).toThrow(RangeError);
    }
    expect(existsSync(join(folder, "new.img"))).toBe(false);
  });
});
