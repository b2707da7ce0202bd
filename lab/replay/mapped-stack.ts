/**
 * mapped-stack: a file on a device-mapper table over two pmems, as one run of its device from byte 0 on, because traces begin it where the
 * table's turn begins.
 */
import { createMemoryDevice, type SimulatedDevice } from "../../src/device/index.ts";
import { ExtentTable } from "../../src/dax/index.ts";
import { OpenedFile } from "../../src/file/opened-file.ts";
import { loadTable, mappedDevice, parseTable } from "../../src/mapper/index.ts";
import { oneRun, openedOn, PAGE, UNITS, type Opened, type Stack, type Wanted } from "./stack.ts";

const SECTOR = 512;

interface Table {
  readonly text: string;
  /** Bytes of each of the two legs. */
  readonly legs: readonly [number, number];
  /** Which leg holds a byte, and where. */
  placeOf(offset: number): readonly [leg: 0 | 1, offset: number];
}

/** `striped 2 N`: chunk i is on leg i mod 2. */
export function stripedStack(chunkSectors: number): Stack {
  const chunk = chunkSectors * SECTOR;
  return {
    async open(wanted) {
      const rows = Math.ceil((Math.ceil(wanted.size / PAGE) * PAGE) / (2 * chunk));
      return opened(wanted, {
        text: `0 ${rows * 2 * chunkSectors} striped 2 ${chunkSectors} one 0 two 0`,
        legs: [rows * chunk, rows * chunk],
        placeOf: (offset) => {
          const row = Math.floor(offset / chunk);
          return [row % 2 === 0 ? 0 : 1, Math.floor(row / 2) * chunk + (offset % chunk)];
        },
      });
    },
  };
}

/** Two rows `linear`, whose border is where the trace says. */
export function linearStack(): Stack {
  return {
    async open(wanted) {
      const sectors = Math.ceil(wanted.size / PAGE) * (PAGE / SECTOR);
      const seam = Math.min(wanted.seam ?? sectors, sectors);
      const rows = [`0 ${seam} linear one 0`];
      if (seam < sectors) rows.push(`${seam} ${sectors - seam} linear two 0`);
      return opened(wanted, {
        text: rows.join("\n"),
        legs: [seam * SECTOR, Math.max(PAGE, (sectors - seam) * SECTOR)],
        placeOf: (offset) => (offset < seam * SECTOR ? [0, offset] : [1, offset - seam * SECTOR]),
      });
    },
  };
}

function opened({ size, clearLimit }: Wanted, table: Table): Opened {
  const bytes = table.legs.map((length) => new Uint8Array(length)) as [Uint8Array, Uint8Array];
  const [one, two] = bytes.map((leg, index) =>
    createMemoryDevice({ ...UNITS, bytes: leg, clearLimit, name: `leg ${index}` }),
  ) as [SimulatedDevice, SimulatedDevice];
  const lookup = (word: string): SimulatedDevice => (word === "one" ? one : two);
  const rows = loadTable(parseTable(table.text, "trace"), { path: "trace", lookup });
  const device = mappedDevice(rows, { name: "trace" });
  const length = Math.ceil(size / PAGE) * PAGE;
  const extents = new ExtentTable([{ offset: 0, length, kind: "data", device: 0 }]);
  const place = { name: "file", size, extents, isDevice: false, frozen: undefined };
  const file = new OpenedFile({
    device,
    place,
    face: "dax",
    mode: "access",
    cursor: { position: 0 },
  });
  return openedOn({
    device,
    file,
    pieces: oneRun(size, 0),
    leaf: (offset) => {
      const [leg, at] = table.placeOf(offset);
      return { device: leg === 0 ? one : two, offset: at };
    },
    setContent: (content) => {
      for (let sector = 0; sector * SECTOR < content.length; sector += 1) {
        const [leg, at] = table.placeOf(sector * SECTOR);
        bytes[leg].set(content.subarray(sector * SECTOR, (sector + 1) * SECTOR), at);
      }
    },
  });
}
