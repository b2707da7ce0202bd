/** stripedStack(): a row's stack on `striped 2 N` of two recorded devices: windows of a chunk, as device-mapper gives them. */
import type { ByteRange } from "../../../src/base/index.ts";
import { loadTable, mappedDevice, parseTable } from "../../../src/mapper/index.ts";
import { RecordedDevice } from "./recorded-device.ts";
import { PAGE, type LinuxRow, type RowStack } from "./linux-row.ts";

const SECTOR = 512;
const OLD = 0x6f;

/** @param chunkSectors sectors of a chunk */
export function stripedStack(row: LinuxRow, chunkSectors: number): RowStack {
  const chunk = chunkSectors * SECTOR;
  const leg = 32 * PAGE;
  const legs = [0, 1].map(() => new RecordedDevice(new Uint8Array(leg).fill(OLD), row.firmware));
  const text = `0 ${(2 * leg) / SECTOR} striped 2 ${chunkSectors} 0 0 1 0`;
  const lookup = (word: string): RecordedDevice => legs[Number(word)] as RecordedDevice;
  const device = mappedDevice(loadTable(parseTable(text, "row"), { path: "row", lookup }), {
    name: "striped",
  });
  /** Where a byte of a leg lies on the table. */
  const above = (index: number, { offset, length }: ByteRange): ByteRange => ({
    offset: (Math.floor(offset / chunk) * 2 + index) * chunk + (offset % chunk),
    length,
  });
  return {
    device,
    poison: ({ offset, length }, options) => {
      for (let at = offset; at < offset + length; at += SECTOR) {
        const number = Math.floor(at / chunk);
        const place = Math.floor(number / 2) * chunk + (at % chunk);
        legs[number % 2]?.makeBad({ offset: place, length: SECTOR }, options);
      }
    },
    clears: () => legs.flatMap(({ clears }, index) => clears.map((range) => above(index, range))),
  };
}
