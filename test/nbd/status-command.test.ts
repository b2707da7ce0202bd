/** status-command: how far a status goes. */
import { expect, test } from "vitest";
import { ALLOCATION_CONTEXT, NBD_COMMAND } from "../../src/device/index.ts";
import { loadTable, mappedDevice, parseTable } from "../../src/mapper/index.ts";
import { ExportList } from "../../src/nbd/index.ts";
import { Peer } from "./support/peer.ts";

test.each([
  ["a sector below 4 GiB", 0xffff_fe00, 0],
  ["4 GiB less a byte", 0xffff_ffff, 0],
  ["the same from an odd place on", 0xffff_ffff, 512],
])("a status of %s ends at a multiple of 64 KiB: trap of nbdkit", async (_, length, offset) => {
  const rows = loadTable(parseTable("0 16777216 zero", "t"), {
    path: "t",
    lookup: () => undefined,
  });
  const device = mappedDevice(rows, { name: "zeros" });
  const exports = new ExportList([{ name: "disk", device, isDirect: () => false }]);
  const peer = new Peer(exports).go("structured", { contexts: [ALLOCATION_CONTEXT] });
  const [status] = await peer.ask(NBD_COMMAND.BLOCK_STATUS, { offset, length });
  const told = (status?.extents ?? []).reduce((sum, extent) => sum + extent.length, 0);
  expect(told).toBeGreaterThan(length - 65_536 - offset);
  expect(told).toBeLessThanOrEqual(length);
  expect((offset + told) % 65_536).toBe(0);
});
