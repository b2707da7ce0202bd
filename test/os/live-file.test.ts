/** LiveFile: direct reads by another process, and what becomes of those that fail, hang or find less than there was. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import { openLiveFile } from "../../src/os/index.ts";
import { factsOf } from "../../src/os/live-file.ts";

let folder = "";
let path = "";
const bytes = createPrng(1).bytes(300_000);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-live-"));
  path = join(folder, "source");
  writeFileSync(path, bytes);
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("LiveFile.attempt()", () => {
  test("gives all bytes of a range, also of the last unit, which is cut", async () => {
    const file = await openLiveFile(path);
    const into = new Uint8Array(bytes.length - 4096);
    expect(await file.attempt(into, 4096)).toBe("data");
    expect(Buffer.compare(into, bytes.subarray(4096))).toBe(0);
    file.close();
  });

  test("leaves a read that hangs behind, and goes on with another process", async () => {
    const file = await openLiveFile(path, { limitMs: 1500 });
    const into = new Uint8Array(4096);
    expect(await file.attempt(into, 0)).toBe("data");
    const stuck = file.readerPid ?? 0;
    process.kill(stuck, "SIGSTOP");
    into.fill(7);
    expect(await file.attempt(into, 8192)).toBe("slow");
    expect(into.every((byte) => byte === 7)).toBe(true);
    expect(await file.attempt(into, 8192)).toBe("data");
    expect(file.readerPid).not.toBe(stuck);
    expect(Buffer.compare(into, bytes.subarray(8192, 12_288))).toBe(0);
    file.close();
  });

  test("says ESTALE where the source became shorter", async () => {
    const file = await openLiveFile(path);
    truncateSync(path, 8192);
    await expect(file.attempt(new Uint8Array(4096), 16_384)).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
    file.close();
  });

  test("says so where its reading process was killed", async () => {
    const file = await openLiveFile(path);
    await file.attempt(new Uint8Array(512), 0);
    process.kill(file.readerPid ?? 0, "SIGSTOP");
    const read = file.attempt(new Uint8Array(512), 0);
    await Promise.resolve();
    process.kill(file.readerPid ?? 0, "SIGKILL");
    await expect(read).rejects.toThrow(/reading process ended/);
    file.close();
  });

  test("takes turns where several ask at once", async () => {
    const file = await openLiveFile(path);
    const parts = [0, 1, 2, 3].map((index) => ({ index, into: new Uint8Array(65_536) }));
    await Promise.all(parts.map(({ index, into }) => file.attempt(into, index * 65_536)));
    for (const { index, into } of parts)
      expect(Buffer.compare(into, bytes.subarray(index * 65_536, (index + 1) * 65_536))).toBe(0);
    file.close();
  });
});

describe("openLiveFile()", () => {
  test.each([
    ["absent", "ENOENT"],
    [".", "EISDIR"],
  ])("refuses %s with %s", async (name, code) => {
    await expect(openLiveFile(join(folder, name))).rejects.toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe("factsOf()", () => {
  const disk = (name: string, queue: Readonly<Record<string, string>>): string => {
    const place = join(folder, "devices", name);
    mkdirSync(join(place, "queue"), { recursive: true });
    for (const [key, value] of Object.entries(queue))
      writeFileSync(join(place, "queue", key), `${value}\n`);
    return place;
  };

  test("takes the physical block of a disk as the unit", () => {
    expect(factsOf(disk("sda", { physical_block_size: "4096", dax: "0" }))).toEqual({
      unit: 4096,
      failure: "costly",
      names: {},
    });
  });

  test("knows what a failed read of NVMe and of DAX costs", () => {
    expect(factsOf(disk("nvme0n1", { physical_block_size: "512" })).failure).toBe("cheap");
    expect(
      factsOf(disk("pmem0", { physical_block_size: "4096", logical_block_size: "512", dax: "1" })),
    ).toEqual({ unit: 512, failure: "machineCheck", names: {} });
  });

  test("asks the disk of a partition, and names both", () => {
    const place = disk("sdb", { physical_block_size: "4096" });
    mkdirSync(join(place, "sdb1"));
    mkdirSync(join(place, "device"));
    writeFileSync(join(place, "device", "wwid"), "naa.5000c500\n");
    writeFileSync(join(place, "sdb1", "partition"), "1\n");
    symlinkSync(join(place, "sdb1"), join(folder, "8:17"));
    expect(factsOf(join(folder, "8:17"))).toEqual({
      unit: 4096,
      failure: "costly",
      names: { WWID: "naa.5000c500", partition: "1" },
    });
  });

  test("takes what nobody describes for a disk", () => {
    const unknown = { unit: 512, failure: "costly", names: {} };
    expect(factsOf(join(folder, "nothing"))).toEqual(unknown);
  });
});
