/** placeEvents: names of disks, partitions and memory on targets with and without a table. */
import { describe, expect, test } from "vitest";
import { parseKernelLog } from "../../../src/rescue/kernel-log/kernel-log.ts";
import {
  placeEvents,
  type PlacedEvents,
  type PlaceOptions,
  type PlaceTarget,
} from "../../../src/rescue/kernel-log/place-events.ts";
import type { Target } from "../../../src/rescue/target.ts";

const MIB = 1024 * 1024;

function target(volumes: readonly (readonly [string, number])[]): PlaceTarget {
  return {
    path: "disk.img",
    device: { size: 100 * MIB } as Target["device"],
    volumes: volumes.map(([name, offset]) => ({
      name,
      offset,
      length: MIB,
      map: undefined,
      why: "a test",
    })),
  };
}

const DISK = target([
  ["partition 1", MIB],
  ["partition 2", 40 * MIB],
]);
const WHOLE = target([["", 0]]);

function place(
  on: typeof DISK,
  lines: readonly string[],
  options: PlaceOptions = {},
): PlacedEvents {
  return placeEvents(on, parseKernelLog(lines.join("\n")).events, options);
}

const DISK_LINE = "critical medium error, dev sda, sector 100 op 0x0:(READ)";
const PARTITION_LINE = "Buffer I/O error on dev sda2, logical block 3, async page read";

describe("placeEvents()", () => {
  test("places names of the disk and of partitions on a disk with a table", () => {
    const { ranges, unplaced } = place(DISK, [DISK_LINE, PARTITION_LINE]);
    expect(unplaced).toEqual([]);
    expect(ranges).toEqual([
      { offset: 51_200, length: 512 },
      { offset: 40 * MIB + 12_288, length: 4096 },
    ]);
  });

  test("does not place a partition that the target does not have", () => {
    const { unplaced } = place(DISK, [
      "Buffer I/O error on dev sda7, logical block 3, async page read",
    ]);
    expect(unplaced[0]?.why).toBe("The target has no partition 7");
  });

  test("places names of the disk on a target without a table", () => {
    expect(place(WHOLE, [DISK_LINE]).ranges).toEqual([{ offset: 51_200, length: 512 }]);
  });

  test("does not guess where a partition's image begins on the disk", () => {
    const { ranges, unplaced } = place(WHOLE, [DISK_LINE, PARTITION_LINE]);
    expect(ranges).toEqual([{ offset: 12_288, length: 4096 }]);
    expect(unplaced[0]?.why).toContain("where it begins on sda is not known");
  });

  test("places memory only where the target's address is given", () => {
    const line = "Memory failure: 0x12345: recovery action for dax page: Recovered";
    expect(place(WHOLE, [line]).unplaced[0]?.why).toContain("physical address");
    expect(place(WHOLE, [line], { physicalStart: 0x12000000 }).ranges).toEqual([
      { offset: 0x345000, length: 4096 },
    ]);
    expect(place(WHOLE, [line], { physicalStart: 0x20000000 }).unplaced[0]?.why).toContain(
      "outside the target",
    );
  });

  test.each([
    [
      "corrected reads",
      "md/raid1:md0: read error corrected (8 sectors at 2056 on sda)",
      "read in the end",
    ],
    ["timeouts", "timeout error, dev sda, sector 1 op 0x0:(READ)", "Not the media's fault"],
    ["failed writes", "I/O error, dev sda, sector 1 op 0x1:(WRITE)", "A write failed"],
    [
      "ports",
      "ata3.00: res 41/40:00:90:e3:57/00:00:14:00:00/40 Emask 0x409 (media error) <F>",
      "names a port",
    ],
    [
      "lines without a place",
      "sd 0:0:1:0: [sda] tag#1 Add. Sense: Unrecovered read error",
      "names no place",
    ],
    [
      "places past the end",
      "I/O error, dev sda, sector 999999999 op 0x0:(READ)",
      "outside the target",
    ],
  ])("does not place %s", (_what, line, why) => {
    const { ranges, unplaced } = place(WHOLE, [line]);
    expect(ranges).toEqual([]);
    expect(unplaced[0]?.why).toContain(why);
  });

  test("takes the failed sector instead of the whole command where a line names it", () => {
    const command = "sd 0:0:1:0: [sda] tag#1 CDB: Read(10) 28 00 00 00 00 40 00 01 00 00";
    expect(place(WHOLE, [command]).ranges).toEqual([{ offset: 0x40 * 512, length: 256 * 512 }]);
    expect(place(WHOLE, [command, DISK_LINE]).ranges).toEqual([{ offset: 51_200, length: 512 }]);
  });

  test("places nothing where the log names several disks and nobody says which one is meant", () => {
    const lines = [DISK_LINE, "I/O error, dev sdb, sector 7 op 0x0:(READ)"];
    const { ranges, unplaced } = place(DISK, lines);
    expect(ranges).toEqual([]);
    expect(unplaced).toHaveLength(2);
    expect(unplaced[0]?.why).toContain("several disks (sda, sdb)");
    expect(place(DISK, lines, { device: "sda" }).ranges).toEqual([{ offset: 51_200, length: 512 }]);
    expect(place(DISK, lines, { device: "/dev/sdb" }).ranges).toEqual([
      { offset: 3584, length: 512 },
    ]);
    expect(place({ ...DISK, path: "/dev/sdb" }, lines).ranges).toEqual([
      { offset: 3584, length: 512 },
    ]);
  });

  test("does not count disks whose lines say nothing of lost data", () => {
    const lines = [DISK_LINE, "timeout error, dev sdb, sector 7 op 0x0:(READ)"];
    expect(place(DISK, lines).ranges).toEqual([{ offset: 51_200, length: 512 }]);
  });

  test("takes a target that is said to be a partition at its own name alone", () => {
    const lines = [DISK_LINE, PARTITION_LINE, PARTITION_LINE.replace("sda2", "sda3")];
    expect(place(WHOLE, lines).ranges).toEqual([]);
    expect(place(WHOLE, lines, { device: "sda2" }).ranges).toEqual([
      { offset: 12_288, length: 4096 },
    ]);
    expect(place(WHOLE, lines, { device: "sda" }).ranges).toEqual([
      { offset: 51_200, length: 512 },
    ]);
  });

  test("finds the size of a block from the sector that the block layer named, across disk and partition", () => {
    const lines = [
      `I/O error, dev sda, sector ${(MIB + 1463 * 1024) / 512 + 1} op 0x0:(READ)`,
      "Buffer I/O error on dev sda1, logical block 1463, async page read",
    ];
    expect(place(DISK, lines).ranges).toEqual([{ offset: MIB + 1463 * 1024, length: 1024 }]);
  });

  test("takes the file system's block size where no sector tells", () => {
    const [volume] = WHOLE.volumes;
    const map = { blockSize: 2048 };
    const mapped = { ...WHOLE, volumes: [{ ...volume, map }] } as unknown as PlaceTarget;
    expect(place(mapped, [PARTITION_LINE]).ranges).toEqual([{ offset: 6144, length: 2048 }]);
  });

  test("finds the size of a disk's logical blocks the same way", () => {
    const lines = [
      "nvme0n1: Read(0x2) @ LBA 100, 2 blocks, Unrecovered Read Error (sct 0x2 / sc 0x81)",
      "critical medium error, dev nvme0n1, sector 800 op 0x0:(READ)",
    ];
    expect(place(WHOLE, lines).ranges).toEqual([{ offset: 409_600, length: 8192 }]);
  });
});
