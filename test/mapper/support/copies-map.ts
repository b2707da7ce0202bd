/** copies-map: stacks with mirrors in memory, and every place where a byte is kept, by the tables and not by the targets. */
import {
  checkedDevice,
  createMemoryDevice,
  type ManagedDevice,
  type MemoryDeviceOptions,
  type SimulatedDevice,
} from "../../../src/device/index.ts";
import {
  activateRows,
  loadTable,
  MappedManagedDevice,
  mappedDevice,
  parseTable,
} from "../../../src/mapper/index.ts";
import type { LeafPlace, TargetSubject } from "../../../src/testing/index.ts";

/** Tables by name, the top last; whatever they name and is no table is a leaf. */
export type Nodes = Readonly<Record<string, string>>;

/** What a stack is made with. */
export interface CopiesOptions extends MemoryDeviceOptions {
  /** Whether every layer is checked. @default false */
  readonly checked?: boolean;
  /** Leaves that are there already: to open a stack again. @default none */
  readonly leaves?: Map<string, SimulatedDevice>;
  /** What stands between a leaf and the tables. @default nothing */
  readonly around?: (leaf: SimulatedDevice) => ManagedDevice;
}

/** A stack in memory. */
export interface CopiesStack {
  readonly top: ManagedDevice;
  readonly leaves: Map<string, SimulatedDevice>;
  readonly table: MappedManagedDevice;
}

/** Makes a stack and readies it. */
export async function copiesStack(nodes: Nodes, options: CopiesOptions): Promise<CopiesStack> {
  const {
    checked = false,
    leaves = new Map<string, SimulatedDevice>(),
    around = (leaf: SimulatedDevice): ManagedDevice => leaf,
  } = options;
  const devices = new Map<string, ManagedDevice>();
  const seam = (device: ManagedDevice): ManagedDevice => (checked ? checkedDevice(device) : device);
  const lookup = (word: string): ManagedDevice => {
    const known = devices.get(word);
    if (known !== undefined) return known;
    const leaf = leaves.get(word) ?? createMemoryDevice({ ...options, name: word });
    leaves.set(word, leaf);
    devices.set(word, seam(around(leaf)));
    return devices.get(word) as ManagedDevice;
  };
  let table: MappedManagedDevice | undefined;
  for (const [name, text] of Object.entries(nodes)) {
    const rows = loadTable(parseTable(text, name), { path: name, lookup });
    await activateRows(rows);
    table = mappedDevice(rows, { name }) as MappedManagedDevice;
    devices.set(name, seam(table));
  }
  const top = [...devices.values()].at(-1) as ManagedDevice;
  return { top, leaves, table: table as MappedManagedDevice };
}

/** Every leaf and sector where a sector is kept. */
export function copiesOf(
  nodes: Nodes,
  name: string,
  sector: number,
): { readonly leaf: string; readonly sector: number }[] {
  const text = nodes[name];
  if (text === undefined) return [{ leaf: name, sector }];
  const row = parseTable(text, name).find(
    ({ start, length }) => start <= sector && sector < start + length,
  );
  if (row === undefined) throw new Error(`no row holds sector ${sector} of ${name}`);
  const offset = sector - row.start;
  return placesIn(row, offset).flatMap((place) => copiesOf(nodes, place.device, place.sector));
}

function placesIn(
  { type, args }: { readonly type: string; readonly args: readonly string[] },
  offset: number,
): { readonly device: string; readonly sector: number }[] {
  const pairs = (from: number, count: number): { device: string; sector: number }[] =>
    Array.from({ length: count }, (_, index) => ({
      device: args[from + index * 2] as string,
      sector: Number(args[from + index * 2 + 1]) + offset,
    }));
  if (type === "linear") return pairs(0, 1);
  if (type === "striped") {
    const [count, size] = [Number(args[0]), Number(args[1])];
    const chunk = Math.floor(offset / size);
    const inLeg = Math.floor(chunk / count) * size + (offset % size);
    const at = 2 + (chunk % count) * 2;
    return [{ device: args[at] as string, sector: Number(args[at + 1]) + inLeg }];
  }
  if (type === "mirror") {
    const from = 2 + Number(args[1]);
    return pairs(from + 1, Number(args[from]));
  }
  const from = 2 + Number(args[1]);
  return Array.from({ length: Number(args[from]) }, (_, index) => ({
    device: args[from + 2 + index * 2] as string,
    sector: offset,
  })).filter(({ device }) => device !== "-");
}

/** A stack as the suites want it: what is injected is bad in every copy. */
export async function copiesSubject(nodes: Nodes, options: CopiesOptions): Promise<TargetSubject> {
  const { top, leaves } = await copiesStack(nodes, options);
  const name = Object.keys(nodes).at(-1) as string;
  const places = Array.from({ length: top.size / 512 }, (_, sector) =>
    copiesOf(nodes, name, sector),
  );
  const kept = new Set(places.flat().map(({ leaf }) => leaf));
  const placesOf = (offset: number): LeafPlace[] =>
    (places[Math.floor(offset / 512)] ?? []).map(({ leaf, sector }) => ({
      leaf: leaves.get(leaf) as SimulatedDevice,
      offset: sector * 512 + (offset % 512),
    }));
  const units = (offset: number, length: number): LeafPlace[] => {
    const found = new Map<string, LeafPlace>();
    for (let at = offset; at < offset + length; at += 1) {
      for (const place of placesOf(at)) {
        const start = place.offset - (place.offset % place.leaf.capabilities.poisonUnit);
        found.set(`${place.leaf.identity.name} ${start}`, { leaf: place.leaf, offset: start });
      }
    }
    return [...found.values()];
  };
  return {
    device: top,
    leaves: [...kept].map((leaf) => leaves.get(leaf) as SimulatedDevice),
    placesOf,
    badInOne: false,
    inject: ({ offset, length }, { latent }) => {
      for (const { leaf, offset: at } of units(offset, length))
        leaf.inject({ offset: at, length: leaf.capabilities.poisonUnit }, { latent });
    },
    fault: ({ offset, length }, kind) => {
      for (const { leaf, offset: at } of units(offset, length))
        leaf.setFault({ offset: at, length: leaf.capabilities.poisonUnit, kind, on: true });
    },
    dispose: async () => {
      await top.close();
      for (const leaf of leaves.values()) leaf.close();
    },
  };
}
