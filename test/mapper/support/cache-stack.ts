/** cache-stack: a writecache over memory for tests, tables above and below it, and where its bytes are by the cache's own bytes: a second reader of the format. */
import { strict as assert } from "node:assert";
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
  mappedDevice,
  parseTable,
  type DeviceTarget,
  type MappedManagedDevice,
} from "../../../src/mapper/index.ts";
import type { LeafPlace, TargetSubject } from "../../../src/testing/index.ts";
import { kernelPlace, type Nodes } from "./kernel-map.ts";
import { LateDevice } from "./late-device.ts";

/** What a cached stack is made of. */
export interface CacheStackOptions extends Omit<MemoryDeviceOptions, "size"> {
  /** Row of the cache over "origin" and "cache": what follows `writecache`. @default "s origin cache 4096 0" */
  readonly args?: string;
  /** Sectors of the target. @default 64 */
  readonly sectors?: number;
  /** Bytes of each leaf. @default 40 KiB */
  readonly leafSize?: number;
  /** Tables below, among them "origin" and "cache" where those are no leaves. */
  readonly below?: Nodes;
  /** Tables above; the first is over "wc". */
  readonly above?: Nodes;
  readonly checked?: boolean;
  /** Whether blocks are written back meanwhile: then blocks of the cache that are free hold what they held. @default false */
  readonly moves?: boolean;
  /** Whether leaves answer later. @default false */
  readonly late?: boolean;
}

/** A cached stack in memory. */
export class CacheStack {
  readonly leaves: Map<string, SimulatedDevice> = new Map();
  readonly options: CacheStackOptions;
  top: ManagedDevice;
  /** The row of the cache. */
  target!: DeviceTarget;

  /** @throws {StorageError} as `loadTable` and `activateRows` */
  constructor(options: CacheStackOptions) {
    this.options = options;
    this.top = this.#build();
  }

  /** A leaf, made where it is not there yet. */
  leaf(name: string): SimulatedDevice {
    const known = this.leaves.get(name);
    if (known !== undefined) return known;
    const made = createMemoryDevice({
      size: 40_960,
      ...this.options,
      name,
      ...sizeOf(this.options),
    });
    this.leaves.set(name, made);
    return made;
  }

  #build(): ManagedDevice {
    const { below = {}, above = {}, checked = false, sectors = 64 } = this.options;
    const { args = "s origin cache 4096 0" } = this.options;
    const devices = new Map<string, ManagedDevice>();
    const tables: Nodes = { ...below, wc: `0 ${sectors} writecache ${args}`, ...above };
    const seam = (device: ManagedDevice): ManagedDevice =>
      checked ? checkedDevice(device) : device;
    const lates = new Map<string, LateDevice>();
    const leafOf = (word: string): ManagedDevice => {
      const late = lates.get(word) ?? new LateDevice(this.leaf(word));
      lates.set(word, late);
      return this.options.late === true ? late : seam(this.leaf(word));
    };
    let top: ManagedDevice | undefined;
    for (const [name, text] of Object.entries(tables)) {
      const lookup = (word: string): ManagedDevice => devices.get(word) ?? leafOf(word);
      const rows = loadTable(parseTable(text, name), { path: name, lookup });
      assert.equal(activateRows(rows), undefined, "memory answers at once");
      if (name === "wc") this.target = rows[0]?.target as DeviceTarget;
      top = seam(mappedDevice(rows, { name }) as MappedManagedDevice);
      devices.set(name, top);
    }
    for (const late of lates.values()) late.late = true;
    return top as ManagedDevice;
  }

  /** Closes the tables and makes them again; leaves stay open. */
  async reopen(): Promise<ManagedDevice> {
    await this.top.close();
    this.top = this.#build();
    return this.top;
  }

  /** The same without closing: what a crash of the program leaves, if all that was written is there. */
  abandon(): ManagedDevice {
    this.top = this.#build();
    return this.top;
  }

  /** Sends a message to the cache. */
  async message(...words: string[]): Promise<void> {
    await this.target.message?.(words);
  }

  /** A leaf that a table below leads to, and the sector there. */
  below(name: string, sector: number): { readonly leaf: SimulatedDevice; readonly sector: number } {
    const place = kernelPlace(this.options.below ?? {}, name, sector);
    return { leaf: this.leaf(place.leaf), sector: place.sector };
  }

  /** Bytes of the cache, by its tables below. */
  cacheBytes(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 512) {
      const { leaf, sector } = this.below("cache", (offset + at) / 512);
      leaf.readSync(bytes.subarray(at, Math.min(length, at + 512)), sector * 512);
    }
    return bytes;
  }
}

function sizeOf({ leafSize }: CacheStackOptions): { readonly size?: number } {
  return leafSize === undefined ? {} : { size: leafSize };
}

/** What the bytes of a cache say: for each sector of the origin that it holds the byte of the cache where its block begins. */
export function decodeCache(
  stack: CacheStack,
  start: number = 0,
): { readonly blockSize: number; readonly data: number; readonly blocks: Map<number, number> } {
  const head = Buffer.from(stack.cacheBytes(start, 512));
  assert.equal(head.readUInt32LE(0), 0x2348_9321);
  assert.equal(head.readUInt32LE(4), 1);
  const blockSize = head.readUInt32LE(8);
  const count = Number(head.readBigUInt64LE(16));
  const sequence = head.readBigUInt64LE(24);
  const data = start + Math.ceil((64 + count * 16) / blockSize) * blockSize;
  const entries = Buffer.from(stack.cacheBytes(start, data - start));
  const found = new Map<number, { readonly at: number; readonly sequence: bigint }>();
  for (let index = 0; index < count; index += 1) {
    const own = entries.readBigUInt64LE(64 + index * 16 + 8);
    if (own >= sequence) continue;
    const sector = Number(entries.readBigUInt64LE(64 + index * 16));
    const other = found.get(sector);
    if (other === undefined || other.sequence < own)
      found.set(sector, { at: data + index * blockSize, sequence: own });
  }
  return { blockSize, data, blocks: new Map([...found].map(([sector, { at }]) => [sector, at])) };
}

/** A cached stack as the suites want it: places by the cache's bytes, as they are after a flush. */
export function cacheSubject(options: CacheStackOptions): TargetSubject {
  const stack = new CacheStack(options);
  const start = Number(/start_sector (\d+)/.exec(options.args ?? "")?.[1] ?? 0) * 512;
  const above = options.above ?? {};
  const name = Object.keys(above).at(-1) ?? "wc";
  let known: ReturnType<typeof decodeCache> | undefined;
  const places = new Map<number, LeafPlace>();
  // poison in the entries takes them from this reader; where they were clean, nothing has moved since
  const decode = (): void => {
    try {
      known = decodeCache(stack, start);
    } catch {
      // not there yet, or poisoned
    }
    // what is asked in one go is answered by one look
    queueMicrotask(() => places.clear());
  };
  const placeOf = (offset: number): LeafPlace => {
    if (places.size === 0) decode();
    const first = offset - (offset % 512);
    const place = places.get(first) ?? sectorPlace(first);
    places.set(first, place);
    return { leaf: place.leaf, offset: place.offset + offset - first };
  };
  const sectorPlace = (offset: number): LeafPlace => {
    const inCache = kernelPlace(above, name, Math.floor(offset / 512)).sector;
    const state = known;
    const blockSectors = (state?.blockSize ?? 4096) / 512;
    const first = inCache - (inCache % blockSectors);
    const at = state?.blocks.get(first);
    const { leaf, sector } =
      at === undefined
        ? stack.below("origin", inCache)
        : stack.below("cache", at / 512 + (inCache - first));
    return { leaf, offset: sector * 512 };
  };
  const units = (offset: number, length: number): LeafPlace[] => {
    const found = new Map<string, LeafPlace>();
    for (let at = offset; at < offset + length; at += 1) {
      const { leaf, offset: below } = placeOf(at);
      const unit = below - (below % leaf.capabilities.poisonUnit);
      found.set(`${leaf.identity.name} ${unit}`, { leaf, offset: unit });
    }
    return [...found.values()];
  };
  const ownSectors = options.moves === true ? 80 - start / 512 : 8;
  const own = Array.from({ length: ownSectors }, (_, sector) => {
    const place = stack.below("cache", start / 512 + sector);
    return { leaf: place.leaf, offset: place.sector * 512, length: 512 };
  });
  return {
    get device() {
      return stack.top;
    },
    leaves: [...stack.leaves.values()],
    own,
    placesOf: (offset) => [placeOf(offset)],
    inject: ({ offset, length }, { latent }) => {
      for (const { leaf, offset: at } of units(offset, length))
        leaf.inject({ offset: at, length: leaf.capabilities.poisonUnit }, { latent });
    },
    fault: ({ offset, length }, kind) => {
      for (const { leaf, offset: at } of units(offset, length))
        leaf.setFault({ offset: at, length: leaf.capabilities.poisonUnit, kind, on: true });
    },
    reopen: () => stack.reopen(),
    dispose: async () => {
      await stack.top.close();
      for (const leaf of stack.leaves.values()) leaf.close();
    },
  };
}
