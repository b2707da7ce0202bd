/**
 * FaultRecorder: what stopped the access of a mapping that is under way, and what a mapping hears of its device meanwhile.
 *
 * The machine check comes while the load runs, as in hardware: the device lists what the load met, `DaxDevice` tells every mapping, and the one
 * that loads finds its fault here when the load returns.
 */
import { roundDown, type ByteRange } from "../base/index.ts";
import {
  BUS_ADRERR,
  BUS_MCEERR_AO,
  BUS_MCEERR_AR,
  type DaxDevice,
  type DaxFile,
  type MappingListener,
} from "../dax/index.ts";
import type { MappingEvent } from "./event-ring.ts";
import type { MapOptions } from "./map-options.ts";
import type { PageFaults } from "./page-faults.ts";
import type { EventRings } from "./section.ts";

/** What a recorder works with. */
export interface RecorderOptions {
  readonly file: DaxFile;
  readonly dax: DaxDevice;
  readonly faults: PageFaults;
  readonly rings: EventRings;
  readonly kernel: NonNullable<MapOptions["kernel"]>;
}

/** The faults of one mapping. */
export class FaultRecorder implements MappingListener {
  readonly #options: RecorderOptions;
  #fault: MappingEvent | undefined;
  #isRefusal = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** What stopped the access; `undefined` where nothing did. */
  get fault(): MappingEvent | undefined {
    return this.#fault;
  }

  /** Whether it is a page that cannot be mapped, and no machine check. */
  get isRefusal(): boolean {
    return this.#isRefusal;
  }

  /** Takes it: the access is over. */
  take(): MappingEvent | undefined {
    const fault = this.#fault;
    this.#fault = undefined;
    this.#isRefusal = false;
    return fault;
  }

  /** The page of a position cannot be mapped (`VM_FAULT_HWPOISON`; before 6.5 `VM_FAULT_SIGBUS`). */
  refuse(position: number): void {
    const { file, faults, kernel } = this.#options;
    const { pageSize, size } = file;
    const start = roundDown(position, pageSize);
    const isOld = kernel === "before 6.5";
    this.#isRefusal = true;
    this.#fault = {
      kind: "required",
      siCode: isOld ? BUS_ADRERR : BUS_MCEERR_AR,
      address: position,
      lsb: isOld ? undefined : faults.pageShift,
      range: { offset: start, length: Math.min(pageSize, size - start) },
    };
  }

  /** The device is gone (`dax_direct_access`: ENXIO). */
  lose(range: ByteRange): void {
    this.#fault = {
      kind: "required",
      siCode: BUS_ADRERR,
      address: range.offset,
      lsb: undefined,
      range,
    };
  }

  /** A load stopped at a byte. Where the device told nobody, `DaxDevice` is told here; what no list names fails this access alone. */
  stop(at: number, position: number): void {
    const { poison } = this.#options.file.device;
    const bad = poison.bad({ offset: at, length: 1 });
    if (bad[Symbol.iterator]().next().done === true) this.#stopAlone(at, position);
    else this.fail(at, position);
  }

  /** The medium says that a byte is bad. */
  fail(at: number, position: number): void {
    if (this.#fault !== undefined) return;
    const { file, dax } = this.#options;
    dax.accessor = this;
    dax.memoryFailure({ offset: at, lsb: Math.log2(file.device.capabilities.poisonUnit) });
    dax.accessor = undefined;
    this.#stopAlone(at, position);
  }

  #stopAlone(at: number, position: number): void {
    const byte = { offset: at, length: 1 };
    this.#fault ??= this.#event("required", byte, { offset: position, length: 1 });
  }

  maps(range: ByteRange): boolean {
    return this.#options.faults.fileRanges(range).length > 0;
  }

  failed(range: ByteRange, siCode: typeof BUS_MCEERR_AR | typeof BUS_MCEERR_AO): void {
    const kind = siCode === BUS_MCEERR_AR ? "required" : "optional";
    for (const part of this.#options.faults.fileRanges(range)) {
      const event = this.#event(kind, range, part);
      if (kind === "optional") this.#options.rings.push(event);
      else this.#fault ??= event;
    }
  }

  healed(range: ByteRange): void {
    for (const part of this.#options.faults.fileRanges(range)) {
      const { offset: address } = part;
      const event = {
        kind: "healed",
        siCode: undefined,
        lsb: undefined,
        address,
        range: part,
      } as const;
      this.#options.rings.push(event);
    }
  }

  /** Later accesses find the device gone themselves. */
  removed(): void {}

  #event(kind: "required" | "optional", device: ByteRange, range: ByteRange): MappingEvent {
    return {
      kind,
      siCode: kind === "required" ? BUS_MCEERR_AR : BUS_MCEERR_AO,
      address: range.offset,
      lsb: this.#options.faults.shiftAt(range.offset, device),
      range,
    };
  }
}
