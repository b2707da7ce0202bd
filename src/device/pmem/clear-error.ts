/**
 * clear-error: the firmware's clear without data (ND_CMD_CLEAR_ERROR; `nvdimm_clear_poison`, drivers/nvdimm/bus.c).
 *
 * It ends poison and leaves nothing: in Linux the range is readable garbage from then on, because bus and region forget it. Here what was
 * cleared is *lost* in the device's list, and stays unreadable until somebody writes data (R1, R4).
 */
import { StorageError, type ByteRange } from "../../base/index.ts";
import type { SimulatedDevice } from "../simulated-device.ts";

/**
 * Clears a range of whole clear units.
 *
 * @returns bytes cleared, from the start of the range: fewer than asked where the firmware stopped half-way
 * @throws {StorageError} EINVAL if the range is empty, misaligned or past the end (nfit_test says so; Linux' own look before it says
 *   ENXIO); EOPNOTSUPP if the device has no such call (ENOTTY in Linux); EIO if nothing was cleared
 */
export function clearError(device: SimulatedDevice, range: ByteRange): number {
  const { clear, clearUnit } = device.capabilities;
  const path = device.identity.name;
  const { offset, length } = range;
  if (clear === "none" || clear === "overwrite")
    throw new StorageError("EOPNOTSUPP", `Cannot clear ${path}: it has no such call`, { path });
  const isWhole = [offset, length].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (!isWhole || offset % clearUnit !== 0 || length % clearUnit !== 0 || length === 0)
    throw new StorageError(
      "EINVAL",
      `Cannot clear ${path}: want whole units of ${clearUnit} bytes: got offset ${offset}, length ${length}`,
      { path },
    );
  if (length > device.size - offset)
    throw new StorageError(
      "EINVAL",
      `Cannot clear ${path}: offset ${offset} + length ${length} is past its end at ${device.size}`,
      { path },
    );
  const cleared = device.firmwareClear(range);
  if (cleared === 0)
    throw new StorageError("EIO", `Cannot clear ${path} at offset ${offset}: it refuses`, { path });
  return cleared;
}
