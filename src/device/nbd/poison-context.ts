/**
 * poison-context: what a Theriac server tells beside the standard: which ranges are bad and why, and what the device under an export can do.
 *
 * `x-theriac:poison` has one extent for each run of one state; bit 0 says that reads fail, so `nbdinfo --map=x-theriac:poison` and QEMU's
 * `x-dirty-bitmap` show the bad runs without knowing more. `x-theriac:device` has one extent over everything, whose number holds
 * `DeviceFacts`. An export named `NAME@recovery` is the export NAME with `RWF_RECOVERY_DATA` on every call.
 */
import type { PoisonState } from "../../poison/index.ts";
import type { Capabilities } from "../device.ts";
import { CLEAR_KINDS } from "../image-settings.ts";

/** The context that lists bad ranges. */
export const POISON_CONTEXT = "x-theriac:poison";
/** The context that describes the device. */
export const DEVICE_CONTEXT = "x-theriac:device";
/** The context of the standard that tells holes and zeros. */
export const ALLOCATION_CONTEXT = "base:allocation";
/** End of the name of an export whose every call is one of recovery. */
export const RECOVERY_SUFFIX = "@recovery";

/** Bits of `x-theriac:poison`. A clean range has none. */
export const POISON_STATUS = {
  /** Reads of it fail. */
  BAD: 1,
  /** With BAD: its poison was cleared, and nobody has restored its bytes. */
  LOST: 2,
  /** Without BAD: nobody has read it, and no list names it. */
  UNREAD: 4,
} as const;

/** A state as the number of an extent. */
export function poisonFlags(state: PoisonState): number {
  if (state === "poisoned") return POISON_STATUS.BAD;
  if (state === "lost") return POISON_STATUS.BAD | POISON_STATUS.LOST;
  return state === "unread" ? POISON_STATUS.UNREAD : 0;
}

/** The state that the number of an extent means; bits that we do not know change nothing. */
export function poisonStateOf(flags: number): PoisonState {
  if ((flags & POISON_STATUS.BAD) !== 0)
    return (flags & POISON_STATUS.LOST) === 0 ? "poisoned" : "lost";
  return (flags & POISON_STATUS.UNREAD) === 0 ? "clean" : "unread";
}

/** What a client wants to know of the device behind an export. */
export type DeviceFacts = Pick<
  Capabilities,
  "poisonUnit" | "clearUnit" | "clear" | "listsErrors" | "mediated" | "recovers"
>;

const LISTS_ERRORS = 1 << 16;
const MEDIATED = 1 << 17;
const RECOVERS = 1 << 18;
/** Tells the number of a device from 0, which means nothing. */
const PRESENT = 1 << 24;

/** Facts as the number of `x-theriac:device`: log2 of both units in six bits each, the kind of clear in four, then one bit for each of the rest. */
export function deviceFlags(facts: DeviceFacts): number {
  return (
    Math.log2(facts.poisonUnit) |
    (Math.log2(facts.clearUnit) << 6) |
    (CLEAR_KINDS.indexOf(facts.clear) << 12) |
    (facts.listsErrors ? LISTS_ERRORS : 0) |
    (facts.mediated ? MEDIATED : 0) |
    (facts.recovers ? RECOVERS : 0) |
    PRESENT
  );
}

/** Reads the number of `x-theriac:device`; `undefined` where it says nothing that can be. */
export function deviceFacts(flags: number): DeviceFacts | undefined {
  const clear = CLEAR_KINDS[(flags >>> 12) & 0xf];
  const [poisonUnit, clearUnit] = [2 ** (flags & 0x3f), 2 ** ((flags >>> 6) & 0x3f)];
  if ((flags & PRESENT) === 0 || clear === undefined) return undefined;
  if (poisonUnit > clearUnit || clearUnit > 2 ** 30) return undefined;
  return {
    poisonUnit,
    clearUnit,
    clear,
    listsErrors: (flags & LISTS_ERRORS) !== 0,
    mediated: (flags & MEDIATED) !== 0,
    recovers: (flags & RECOVERS) !== 0,
  };
}
