/**
 * mapper: devices made of devices. So far partitions: which parts of a disk are which, from a GPT or an MBR.
 *
 * Promises: a partition is told only where its table proves it; what a poisoned table hides is told as unknown. Reads only.
 * Stands on base and device.
 */
export { readPartitionTable, type PartitionLayout } from "./partition-table.ts";
export type { Partition, PartitionTable, TableProblem } from "./partition.ts";
