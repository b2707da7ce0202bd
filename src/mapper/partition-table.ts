/**
 * readPartitionTable: which table a disk has, GPT or MBR, and which one is believed where both could be.
 *
 * As Linux (block/partitions/efi.c) a GPT counts only where the first sector protects it; a table of old that nobody
 * erased is noise. Unlike Linux a GPT is also believed where the first sector cannot be read, because a rescue begins there.
 */
import type { Device } from "../device/index.ts";
import { readDisk } from "./disk-reader.ts";
import { readGpt } from "./gpt.ts";
import { judgeFirstSector, readMbr } from "./mbr.ts";
import type { PartitionTable, TableProblem } from "./partition.ts";

/** What a disk begins with. */
export interface PartitionLayout {
  /** `undefined` where the disk has no table, or where none can be read: `problems` says so. */
  readonly table: PartitionTable | undefined;
  /**
   * Whether the table, or that there is none, is sure. False where the first sector cannot be read: a file system
   * that begins at 0 should then be looked for first.
   */
  readonly certain: boolean;
  /** Problems of the table, and of the search for it. */
  readonly problems: readonly TableProblem[];
}

/**
 * Reads the partition table of a disk or image.
 *
 * @throws {StorageError} if the device itself fails; poison is told as problems
 */
export async function readPartitionTable(device: Device): Promise<PartitionLayout> {
  const sector = await readDisk(device, 0, 512);
  const first = judgeFirstSector(sector);
  if (first === "none") return { table: undefined, certain: true, problems: [] };
  if (first === "mbr") {
    const table = await readMbr(device, sector);
    return { table, certain: true, problems: table.problems };
  }
  const table = await readGpt(device);
  if (first === "protective") return protectedLayout(device, table);
  const range = { offset: 0, length: 512 };
  const what =
    table === undefined
      ? "whether there is a partition table is unknown"
      : "the GPT behind it is used";
  const problems = [
    { range, message: `The first sector cannot be read: ${what}` },
    ...(table?.problems ?? []),
  ];
  return { table, certain: false, problems };
}

/** The layout where the first sector says that a GPT is there. Without one, what the disk holds is unknown. */
function protectedLayout(device: Device, table: PartitionTable | undefined): PartitionLayout {
  if (table !== undefined) return { table, certain: true, problems: table.problems };
  const message =
    "The first sector protects a GPT, but neither copy of it can be used: partitions are unknown";
  const problems = [{ range: { offset: 0, length: 512 }, message }];
  const none: PartitionTable = {
    kind: "gpt",
    sectorSize: 512,
    uuid: "",
    source: "primary",
    partitions: [],
    occupied: [{ offset: 0, length: Math.min(512, device.size) }],
    complete: false,
    problems,
  };
  return { table: none, certain: true, problems };
}
