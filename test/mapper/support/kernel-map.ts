/** kernel-map: tables over memory for tests, and where the kernel puts a sector: its formulas as they stand, level by level. */
import { strict as assert } from "node:assert";
import {
  checkedDevice,
  createMemoryDevice,
  type ManagedDevice,
  type SimulatedDevice,
  type MemoryDeviceOptions,
} from "../../../src/device/index.ts";
import {
  activateRows,
  loadTable,
  MappedManagedDevice,
  mappedDevice,
  parseTable,
  type TableRow,
} from "../../../src/mapper/index.ts";
import type { LeafPlace, TargetSubject } from "../../../src/testing/index.ts";

/** Tables by name, and names of leaves: whatever a table names and is no table. */
export type Nodes = Readonly<Record<string, string>>;

/** What a stack in memory is made with. */
export interface StackOptions extends MemoryDeviceOptions {
  /** Whether every layer is checked, and so nothing is flattened. @default false */
  readonly checked?: boolean;
}

/** Bytes of a leaf whose name begins with "log". */
const LOG_SIZE = 4 * 1024 * 1024;

/** A stack in memory. */
export interface MemoryStack {
  readonly top: ManagedDevice;
  readonly leaves: ReadonlyMap<string, SimulatedDevice>;
  /** Each node, unwrapped. */
  readonly nodes: ReadonlyMap<string, MappedManagedDevice>;
}

/** Makes a stack of tables; the last one is the top. Leaves have `size` bytes. */
export function memoryStack(nodes: Nodes, options: StackOptions): MemoryStack {
  const { checked = false } = options;
  const leaves = new Map<string, SimulatedDevice>();
  const made = new Map<string, MappedManagedDevice>();
  const devices = new Map<string, ManagedDevice>();
  const lookup = (word: string): ManagedDevice => {
    const known = devices.get(word);
    if (known !== undefined) return known;
    const size = word.startsWith("log") ? LOG_SIZE : options.size;
    const leaf = createMemoryDevice({
      ...options,
      name: word,
      ...(size === undefined ? {} : { size }),
    });
    leaves.set(word, leaf);
    devices.set(word, checked ? checkedDevice(leaf) : leaf);
    return devices.get(word) as ManagedDevice;
  };
  let top: ManagedDevice | undefined;
  for (const [name, text] of Object.entries(nodes)) {
    const rows = loadTable(parseTable(text, name), { path: name, lookup });
    assert.equal(activateRows(rows), undefined, "memory answers at once");
    const device = mappedDevice(rows, { name }) as MappedManagedDevice;
    made.set(name, device);
    top = checked ? checkedDevice(device) : device;
    devices.set(name, top);
  }
  return { top: top as ManagedDevice, leaves, nodes: made };
}

/** Where the kernel puts a sector, level by level: the row, then linear.c, dm-stripe.c and dm-unstripe.c. */
export function kernelPlace(
  nodes: Nodes,
  name: string,
  sector: number,
): { readonly leaf: string; readonly sector: number } {
  const text = nodes[name];
  if (text === undefined) return { leaf: name, sector };
  const row = rowOf(text, name, sector);
  const offset = sector - row.start;
  const words = [...row.args];
  // the row's begin is not subtracted (normal_map_bio)
  if (row.type === "log-writes") return kernelPlace(nodes, words[0] as string, sector);
  if (row.type === "linear" || row.type === "dust")
    return kernelPlace(nodes, words[0] as string, Number(words[1]) + offset);
  const count = Number(words[0]);
  const size = Number(words[1]);
  if (row.type === "unstriped") {
    const [stripe, device = "", start] = words.slice(2);
    const mapped = offset + Number(stripe) * size + Math.floor(offset / size) * (count - 1) * size;
    return kernelPlace(nodes, device, Number(start) + mapped);
  }
  const chunk = Math.floor(offset / size);
  const stripe = chunk % count;
  const inLeg = Math.floor(chunk / count) * size + (offset % size);
  return kernelPlace(nodes, words[2 + stripe * 2] as string, Number(words[3 + stripe * 2]) + inLeg);
}

function rowOf(text: string, name: string, sector: number): TableRow {
  return parseTable(text, name).find(
    ({ start, length }) => start <= sector && sector < start + length,
  ) as TableRow;
}

/** Sectors from one on to the end of the window, the smallest of all levels (`max_io_len`). */
export function kernelWindow(nodes: Nodes, name: string, sector: number): number {
  const text = nodes[name];
  if (text === undefined) return Infinity;
  const row = rowOf(text, name, sector);
  const offset = sector - row.start;
  let window = row.length - offset;
  if (row.type === "log-writes")
    return Math.min(window, kernelWindow(nodes, row.args[0] as string, sector));
  if (row.type === "unstriped")
    return Math.min(window, Number(row.args[1]) - (offset % Number(row.args[1])));
  if (row.type === "striped")
    window = Math.min(window, Number(row.args[1]) - (offset % Number(row.args[1])));
  const count = row.type === "striped" ? Number(row.args[0]) : 1;
  const size = row.type === "striped" ? Number(row.args[1]) : 1;
  const first = row.type === "striped" ? 2 : 0;
  const chunk = Math.floor(offset / size);
  const stripe = chunk % count;
  const inLeg =
    row.type === "striped" ? Math.floor(chunk / count) * size + (offset % size) : offset;
  const below = row.args[first + stripe * 2] as string;
  return Math.min(
    window,
    kernelWindow(nodes, below, Number(row.args[first + stripe * 2 + 1]) + inLeg),
  );
}

/** A stack as the suites want it. */
export function stackSubject(nodes: Nodes, options: StackOptions): TargetSubject {
  const { top, leaves } = memoryStack(nodes, options);
  const name = Object.keys(nodes).at(-1) as string;
  const places = Array.from({ length: top.size / 512 }, (_, sector) =>
    kernelPlace(nodes, name, sector),
  );
  const placesOf = (offset: number): LeafPlace[] => {
    const { leaf, sector } = places[Math.floor(offset / 512)] as { leaf: string; sector: number };
    return [{ leaf: leaves.get(leaf) as SimulatedDevice, offset: sector * 512 + (offset % 512) }];
  };
  const below = (offset: number, length: number): { leaf: SimulatedDevice; offset: number }[] => {
    const units = new Map<string, { leaf: SimulatedDevice; offset: number }>();
    for (let at = offset; at < offset + length; at += 1) {
      const [place] = placesOf(at) as [LeafPlace];
      const { poisonUnit } = place.leaf.capabilities;
      const start = place.offset - (place.offset % poisonUnit);
      units.set(`${place.leaf.identity.name} ${start}`, { leaf: place.leaf, offset: start });
    }
    return [...units.values()];
  };
  const holding = new Set(places.map(({ leaf }) => leaf));
  return {
    device: top,
    leaves: [...leaves.values()].filter((leaf) => holding.has(leaf.identity.name)),
    placesOf,
    window: (page) => Math.floor(kernelWindow(nodes, name, page * 8) / 8),
    inject: ({ offset, length }, { latent }) => {
      for (const { leaf, offset: at } of below(offset, length))
        leaf.inject({ offset: at, length: leaf.capabilities.poisonUnit }, { latent });
    },
    fault: ({ offset, length }, kind) => {
      for (const { leaf, offset: at } of below(offset, length))
        leaf.setFault({ offset: at, length: leaf.capabilities.poisonUnit, kind, on: true });
    },
    dispose: async () => {
      await top.close();
      for (const leaf of leaves.values()) leaf.close();
    },
  };
}
