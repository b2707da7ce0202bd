/** liveCapabilities: what a block device of this machine can do, seen through the kernel: by itself, or below a file. */
import { PAGE } from "../../base/index.ts";
import type { Capabilities } from "../../device/index.ts";
import type { BlockNode } from "../../os/index.ts";

/** How a live target is opened. Bytes. */
export interface LiveUnits {
  readonly access: "read" | "write";
  /** Whether the kernel keeps a list of it. */
  readonly listsErrors: boolean;
  /** Smallest range that fails. @default the logical block */
  readonly poisonUnit?: number;
  /** Smallest range that a write heals. */
  readonly clearUnit: number;
}

/** Any full write heals, by the driver or the disk; and other programs use the same device, so that it is not mediated. */
export function liveCapabilities(node: BlockNode, units: LiveUnits): Capabilities {
  const { access, listsErrors, poisonUnit = node.logicalBlock, clearUnit } = units;
  return {
    poisonUnit,
    clearUnit,
    pageSize: PAGE,
    clear: "overwrite",
    listsErrors,
    failedRead: node.isMemory ? "cheap" : "costly",
    mediated: false,
    readOnly: access === "read",
    recovers: true,
  };
}
