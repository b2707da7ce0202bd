/** deviceFile(): a whole device as a file of a donor: a copy of one file that is not whole, and knows where. */
import { endOf, intersect, type BadRange } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import { readOrMissing, type DonorFile } from "../donor/index.ts";

/** A device as a file, which closes it. */
export function deviceFile(
  device: Device,
  facts: { readonly name: string; readonly modifiedNs: bigint },
): DonorFile {
  const { size } = device;
  return {
    ...facts,
    size,
    async read(into, offset) {
      const range = { offset, length: into.length };
      const inside = intersect(range, { offset: 0, length: size });
      const result =
        inside === undefined
          ? { missing: [] }
          : await readOrMissing(device, into.subarray(0, inside.length), offset);
      const from = Math.max(offset, size);
      const behind: BadRange = { offset: from, length: endOf(range) - from, state: "unread" };
      return behind.length > 0 ? { missing: [...result.missing, behind] } : result;
    },
    lacks: (range) => (device.poison.empty ? [] : [...device.poison.bad(range)]),
    close: async () => await device.close(),
  };
}
