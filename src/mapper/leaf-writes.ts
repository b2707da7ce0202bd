/** leaf-writes: writes of a table as writes of its leaves: one batch a leaf. */
import type { Device, HealWrite } from "../device/index.ts";
import type { Layout } from "./layout.ts";

/** The writes of one leaf. */
export interface LeafWrites {
  readonly device: Device;
  readonly writes: HealWrite[];
  /** For each of them the number of the table's write that it is a part of. */
  readonly of: number[];
}

/** Writes by leaf, those that `isWanted`, leaves in the order in which they come. Data is not copied. */
export function leafWrites(
  layout: Layout,
  writes: readonly HealWrite[],
  isWanted: (index: number) => boolean = () => true,
): LeafWrites[] {
  const leaves = new Map<Device, LeafWrites>();
  for (const [index, { offset, data }] of writes.entries()) {
    if (!isWanted(index)) continue;
    let done = 0;
    for (const run of layout.runs({ offset, length: data.length })) {
      const leaf = leaves.get(run.device) ?? { device: run.device, writes: [], of: [] };
      leaves.set(run.device, leaf);
      leaf.writes.push({ offset: run.offset, data: data.subarray(done, done + run.length) });
      leaf.of.push(index);
      done += run.length;
    }
  }
  return [...leaves.values()];
}
