/** mapped-capabilities: what a table can do, and who it is, computed from its leaves. */
import { createHash } from "node:crypto";
import { PAGE, SECTOR } from "../base/index.ts";
import {
  CLEAR_KINDS,
  type Capabilities,
  type Device,
  type DeviceIdentity,
} from "../device/index.ts";
import type { Area } from "./target.ts";

/** What a target without a medium (zeros, errors) says: what the block layer takes for granted. It counts for nothing beside a leaf. */
export const NO_MEDIUM: Capabilities = {
  poisonUnit: SECTOR,
  clearUnit: SECTOR,
  pageSize: PAGE,
  clear: "overwrite",
  listsErrors: true,
  failedRead: "cheap",
  mediated: true,
  readOnly: false,
  recovers: true,
};

/**
 * What a table over leaves promises: what all of them promise. Units are the largest; where chunks or starts do not divide by the clear
 * unit, only "recovery" heals whatever the alignment.
 */
export function joinedCapabilities(leaves: readonly Device[]): Capabilities {
  const all = leaves
    .map(({ capabilities }) => capabilities)
    .filter((capabilities) => capabilities !== NO_MEDIUM);
  const [first = NO_MEDIUM] = all;
  return all.reduce(weaker, first);
}

function weaker(one: Capabilities, other: Capabilities): Capabilities {
  const rank = (of: Capabilities): number => CLEAR_KINDS.indexOf(of.clear);
  return {
    poisonUnit: Math.max(one.poisonUnit, other.poisonUnit),
    clearUnit: Math.max(one.clearUnit, other.clearUnit),
    pageSize: Math.max(one.pageSize, other.pageSize),
    clear: rank(one) >= rank(other) ? one.clear : other.clear,
    listsErrors: one.listsErrors && other.listsErrors,
    failedRead: one.failedRead === "costly" ? "costly" : other.failedRead,
    mediated: one.mediated && other.mediated,
    readOnly: one.readOnly || other.readOnly,
    recovers: one.recovers && other.recovers,
  };
}

/** Who a table is: its leaves in their places. The UUID changes with either; generations add up, so any change moves the sum. */
export function joinedIdentity(name: string, areas: readonly Area[]): DeviceIdentity {
  const leaves = [...new Set(areas.map(({ device }) => device))].map(({ identity }) => identity);
  const generation = leaves.reduce((sum, leaf) => sum + leaf.generation, 0);
  if (leaves.length === 0 || leaves.some(({ uuid }) => uuid === undefined))
    return { name, uuid: undefined, generation };
  const text = areas
    .map(({ device, offset, length }) => `${device.identity.uuid} ${offset} ${length}\n`)
    .join("");
  const hex = createHash("sha256").update(text).digest("hex");
  const parts = [8, 12, 16, 20, 32].map((end, at, ends) => hex.slice(ends[at - 1] ?? 0, end));
  return { name, uuid: parts.join("-"), generation };
}
