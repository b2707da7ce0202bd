/** change-checks: what is looked at before a change, because the first leaf of several would have changed by the time another one refuses. */
import { endOf, type ByteRange } from "../base/index.ts";
import type { Area } from "./target.ts";

/** @throws {RangeError} if two ranges share a byte */
export function checkApart(ranges: readonly ByteRange[]): void {
  const sorted = [...ranges].sort((one, other) => one.offset - other.offset);
  for (const [index, range] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next !== undefined && next.offset < endOf(range))
      throw new RangeError(
        `Cannot heal: want writes that do not overlap: got two at offset ${next.offset}`,
      );
  }
}

/** @throws {RangeError} if an area is not whole clear units of its device */
export function checkWhole({ device, offset, length }: Area): void {
  const { clearUnit } = device.capabilities;
  const end = offset + length;
  if (offset % clearUnit === 0 && (end % clearUnit === 0 || end === device.size)) return;
  throw new RangeError(
    `Cannot clear: want whole clear units of ${clearUnit} bytes of ${device.identity.name}: got offset ${offset}, length ${length} there`,
  );
}
