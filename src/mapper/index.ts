/**
 * mapper: devices made of devices. Device-mapper tables, one file a target; partitions: which parts of a disk are which, from a GPT or an MBR; LVM2 volumes and md arrays, from what their members say.
 *
 * Promises: poison is translated both ways to the byte, whatever the stack; a partition is told only where its table proves it, and what a
 * poisoned table hides is told as unknown. Stands on base, os, poison and device.
 */
export { isFaulty } from "./faulty.ts";
export { layoutOf, type Layout } from "./layout.ts";
export { activateRows, loadTable, type LoadedRow, type LoadTableOptions } from "./load-table.ts";
export { MappedDevice, type MappedDeviceOptions } from "./mapped-device.ts";
export { mappedDevice, MappedManagedDevice } from "./mapped-managed-device.ts";
export { imageSize, isStackPath, openImage } from "./open-image.ts";
export { leavesOf, legTwin, type LegTwin } from "./mirror/leg-twin.ts";
export { resyncMirrors } from "./mirror/resync-mirrors.ts";
export type { ResyncOptions, ResyncResult } from "./mirror/resync.ts";
export { findVolumes, type FoundVolumes } from "./volumes/find-volumes.ts";
export {
  openStack,
  openStackText,
  stackSize,
  type OpenStack,
  type OpenStackOptions,
} from "./open-stack.ts";
export { readPartitionTable, type PartitionLayout } from "./partition-table.ts";
export type { Partition, PartitionTable, TableProblem } from "./partition.ts";
export {
  formatStack,
  parseStack,
  stackSectors,
  type StackDevice,
  type StackTable,
  type StackText,
  type StackVolume,
} from "./stack-text.ts";
export { formatRow, formatTable, parseTable, type TableRow } from "./table-text.ts";
export { readLog, readLogSuper, type PlacedEntry } from "./targets/log-writes/read-log.ts";
export {
  encodeEntry as encodeLogEntry,
  LOG_FLAGS,
  type LogEntry,
  type LogSuper,
} from "./targets/log-writes/log-format.ts";
export {
  replayLog,
  type ReplayOptions,
  type ReplayResult,
} from "./targets/log-writes/replay-log.ts";
export { sendMessage, type TableMessage } from "./send-message.ts";
export { addressesAbove, tablesOf, walkDown, type WalkStep } from "./walk.ts";
export type {
  Area,
  DevicePlace,
  DeviceTarget,
  MapTarget,
  MessageAnswer,
  Target,
  TargetMemory,
  TargetRow,
  TargetType,
} from "./target.ts";
