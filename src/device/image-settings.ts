/** image-settings: how a simulated image fails, as `theriac create` takes it and its sidecar keeps it. */
import { checkRange, isPowerOfTwo, PAGE, StorageError } from "../base/index.ts";
import type { PoisonStore } from "../poison/index.ts";
import type { Capabilities, ClearKind } from "./device.ts";

/** How a simulated image fails. Units are bytes, powers of two. */
export interface ImageSettings {
  /** Smallest range that fails. @default 64 */
  readonly poisonUnit: number;
  /** Smallest range that can be cleared, at least the poison unit. @default 256, or the poison unit where that is larger */
  readonly clearUnit: number;
  /** @default "firmware" */
  readonly clear: ClearKind;
  /** Bytes of a page. @default 4096 */
  readonly pageSize: number;
  /** What a read of a slow zone takes longer, in milliseconds. @default 50 */
  readonly slowMs: number;
}

/** Every way that poison can end, in the order that help texts show. */
export const CLEAR_KINDS: readonly ClearKind[] = [
  "atomic",
  "firmware",
  "overwrite",
  "pretends",
  "none",
];

const MAX_UNIT = 1024 * 1024;

/**
 * Fills in what is not given, and checks that it fits.
 *
 * @throws {TypeError} if the size is no whole number
 * @throws {RangeError} if a unit is not a power of two from 1 to 1 MiB, the clear unit is below the poison unit, or the size is not
 *   a multiple of the clear unit
 */
export function checkSettings(given: Partial<ImageSettings>, size: number): ImageSettings {
  const poisonUnit = given.poisonUnit ?? 64;
  const clearUnit = given.clearUnit ?? Math.max(256, poisonUnit);
  const { clear = "firmware", pageSize = PAGE, slowMs = 50 } = given;
  checkRange({ offset: 0, length: size }, Number.MAX_SAFE_INTEGER);
  for (const [name, unit] of Object.entries({ poisonUnit, clearUnit, pageSize })) {
    if (isPowerOfTwo(unit) && unit <= MAX_UNIT) continue;
    throw new RangeError(
      `Cannot use ${name}: want a power of two from 1 to ${MAX_UNIT}: got ${unit}`,
    );
  }
  if (clearUnit < poisonUnit)
    throw new RangeError(
      `Cannot use clearUnit: want at least poisonUnit ${poisonUnit}: got ${clearUnit}`,
    );
  if (size === 0 || size % clearUnit !== 0) {
    throw new RangeError(
      `Cannot use size: want a multiple of the clear unit ${clearUnit}, not 0: got ${size}`,
    );
  }
  if (!CLEAR_KINDS.includes(clear))
    throw new RangeError(`Cannot use clear: want one of ${CLEAR_KINDS.join(", ")}: got ${clear}`);
  if (!(slowMs >= 0 && slowMs <= 60_000))
    throw new RangeError(`Cannot use slowMs: want 0 to 60000: got ${slowMs}`);
  return { poisonUnit, clearUnit, clear, pageSize, slowMs };
}

/** Reads settings out of a sidecar. @throws {StorageError} EBADMSG if they are not what `checkSettings` makes */
export function settingsOf(store: PoisonStore, path: string): ImageSettings {
  const { poisonUnit, clearUnit, clear, pageSize, slowMs } = store.settings;
  const numbers = { poisonUnit, clearUnit, pageSize, slowMs };
  try {
    for (const [name, value] of Object.entries(numbers)) {
      if (typeof value !== "number")
        throw new RangeError(`Cannot use ${name}: want a number: got ${typeof value}`);
    }
    return checkSettings(
      { ...(numbers as Omit<ImageSettings, "clear">), clear: clear as ClearKind },
      store.list.size,
    );
  } catch (error) {
    throw new StorageError("EBADMSG", `Cannot use the settings of ${path} in its sidecar`, {
      path,
      cause: error,
    });
  }
}

/** The capabilities that settings give. */
export function capabilitiesOf(settings: ImageSettings, readOnly: boolean): Capabilities {
  const { poisonUnit, clearUnit, pageSize, clear } = settings;
  return {
    poisonUnit,
    clearUnit,
    pageSize,
    clear,
    listsErrors: true,
    failedRead: "cheap",
    mediated: true,
    readOnly,
    recovers: true,
  };
}
