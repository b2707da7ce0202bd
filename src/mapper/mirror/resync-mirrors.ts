/** resyncMirrors(): every mirror of a stack made alike, those below first. */
import type { Device } from "../../device/index.ts";
import { tablesOf } from "../walk.ts";
import { MirrorDevice } from "./mirror-device.ts";
import type { ResyncOptions, ResyncResult } from "./resync.ts";

/**
 * Runs `MirrorDevice.resync` for every mirror under a table.
 *
 * @returns sums over all; `mirrors` says how many there are
 * @throws {StorageError} EACCES where the stack is open for reading
 */
export async function resyncMirrors(
  top: Device,
  options: ResyncOptions = {},
): Promise<ResyncResult & { readonly mirrors: number }> {
  let [mirrors, copied, healed, left] = [0, 0, 0, 0];
  for (const { rows } of tablesOf(top).reverse()) {
    for (const { target } of rows) {
      if (target.kind !== "device" || !(target.device instanceof MirrorDevice)) continue;
      const result = await target.device.resync(options);
      mirrors += 1;
      copied += result.copied;
      healed += result.healed;
      left += result.left;
    }
  }
  return { mirrors, copied, healed, left };
}
