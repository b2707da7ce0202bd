/** Files on media that fail: every byte around a bad sector is delivered, and exactly the bad sectors are named. */
import { describe, expect, test } from "vitest";
import { createPrng, RangeSet, StorageError, type ByteRange } from "../../src/base/index.ts";
import { openDevice, scrub } from "../../src/device/index.ts";
import type { HostFile, HostFiles } from "../../src/os/index.ts";
import { createCrashFiles } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";

const seed = randomSeed();
const PATH = "/disks/sda";
const SIZE = 300 * 512 + 100;

/** A disk whose reads fail as a whole where they touch a bad sector. */
interface Disk {
  readonly files: HostFiles;
  readonly content: Uint8Array;
  readonly bad: RangeSet;
  /** Code that a failing read carries. */
  code: "EIO" | "ENOENT";
  reads: number;
}

function makeDisk(content: Uint8Array): Disk {
  const inner = createCrashFiles();
  const file = inner.open(PATH, { access: "create" });
  file.writeSync(content, 0);
  file.close();
  const disk: Disk = {
    files: { ...bound(inner), open: openFailing },
    content,
    bad: new RangeSet(),
    code: "EIO",
    reads: 0,
  };
  function openFailing(path: string, options?: Parameters<HostFiles["open"]>[1]): HostFile {
    const opened = inner.open(path, options);
    const read = (into: Uint8Array, offset: number): number => {
      disk.reads += 1;
      if (path === PATH && disk.bad.intersects(offset, into.length))
        throw new StorageError(disk.code, `read of ${path} failed`, { path, syscall: "read" });
      return opened.readSync(into, offset);
    };
    return {
      path,
      size: () => opened.size(),
      read: (into, offset) =>
        into.length > 4096 ? Promise.resolve().then(() => read(into, offset)) : read(into, offset),
      readSync: read,
      writeSync: (from, offset) => opened.writeSync(from, offset),
      truncate: (size) => opened.truncate(size),
      sync: () => opened.sync(),
      close: () => opened.close(),
    };
  }
  return disk;
}

function bound(files: HostFiles): Omit<HostFiles, "open"> {
  return {
    info: (path) => files.info(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    syncDirectoryOf: (path) => files.syncDirectoryOf(path),
  };
}

function sectors(...numbers: readonly number[]): ByteRange[] {
  return [...RangeSet.from(numbers.map((number) => ({ offset: number * 512, length: 512 })))];
}

describe("a file on media that fail", () => {
  test("read() gives every clean byte and names exactly the bad sectors, wherever it begins and ends", async () => {
    const prng = createPrng(seed);
    for (let round = 0; round < 60; round += 1) {
      const disk = makeDisk(prng.bytes(SIZE));
      for (let count = prng.below(6); count > 0; count -= 1)
        disk.bad.add(prng.below(299) * 512, 512 * (1 + prng.below(2)));
      const device = openDevice(PATH, { files: disk.files });
      const offset = prng.below(SIZE - 1);
      const into = new Uint8Array(1 + prng.below(SIZE - offset));
      const { missing } = await device.read(into, offset, prng.pick(["access", "recovery"]));
      const wanted = Array.from(disk.bad.within(offset, into.length));
      expect(missing.map(({ offset: at, length }) => ({ offset: at, length }))).toEqual(wanted);
      for (const gap of disk.bad.gaps(offset, into.length)) {
        const from = gap.offset - offset;
        const same = Buffer.compare(
          into.subarray(from, from + gap.length),
          disk.content.subarray(gap.offset, gap.offset + gap.length),
        );
        expect(same, `R1, R2: SEED=${seed} round ${round}`).toBe(0);
      }
      device.close();
    }
  });

  test("scrub() lists exactly the bad sectors, the cut-off last one too", async () => {
    const disk = makeDisk(new Uint8Array(SIZE).fill(7));
    for (const range of sectors(0, 9, 10, 100)) disk.bad.add(range.offset, range.length);
    disk.bad.add(300 * 512, 100);
    const device = openDevice(PATH, { files: disk.files });
    const { found } = await scrub(device);
    expect(found).toEqual([...sectors(0, 9, 10, 100), { offset: 300 * 512, length: 100 }]);
    device.close();
  });

  test("read() asks for few sectors to find one bad one, and never again for one that is known", async () => {
    const disk = makeDisk(new Uint8Array(256 * 512));
    disk.bad.add(77 * 512, 512);
    const device = openDevice(PATH, { files: disk.files });
    await device.read(new Uint8Array(256 * 512), 0);
    expect(disk.reads).toBeLessThan(2 * 8 + 6);
    disk.reads = 0;
    await device.read(new Uint8Array(256 * 512), 0);
    expect(disk.reads).toBe(2);
    device.close();
  });

  test("read() throws where the device is gone, and lists nothing", async () => {
    const disk = makeDisk(new Uint8Array(8192));
    disk.bad.add(0, 8192);
    disk.code = "ENOENT";
    const device = openDevice(PATH, { files: disk.files });
    await expect(async () => await device.read(new Uint8Array(8192), 0)).rejects.toThrow(/ENOENT/);
    expect(device.poison.empty).toBe(true);
    device.close();
  });
});
