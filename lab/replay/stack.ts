/** stack: what a replayed case runs on: a file, and the hands that poison and look below it. */
import type { Device, SimulatedDevice } from "../../src/device/index.ts";
import type { File } from "../../src/file/index.ts";
import type { ListAfter } from "./documented.ts";
import type { TraceCase } from "./trace.ts";

/** Bytes of a page. */
export const PAGE = 4096;

/** Units of nfit_test's DIMMs, whose clears take 256 bytes. */
export const UNITS = { poisonUnit: 256, clearUnit: 256, clear: "firmware" } as const;

/** A file in a fresh stack. */
export interface Opened {
  readonly file: File;
  /** Sets what the file holds. */
  setContent(bytes: Uint8Array): void;
  /** Makes sectors of the file known bad. */
  poison(sector: number, count: number): void;
  /** The bad blocks of the file, merged, and which of them are lost. */
  listAfter(): ListAfter;
}

/** What a case asks of its stack. */
export interface Wanted {
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes that one clear of the firmware clears at most. Infinity: all. */
  readonly clearLimit: number;
  /** Sectors of the file before the border of a linear table's rows. */
  readonly seam: number | undefined;
  /** Pages of the file that are allocated: first, count, written or unwritten; undefined: all, in one run. */
  readonly extents: TraceCase["extents"];
}

/** Makes a stack for one case after the other. */
export interface Stack {
  open(wanted: Wanted): Promise<Opened>;
}

/** A run of a file on its device. Bytes. */
export interface Piece {
  readonly file: number;
  readonly device: number;
  readonly length: number;
}

/** What an opened file stands on. */
export interface Standing {
  readonly device: Device;
  readonly file: File;
  /** Where the file's pieces lie on the device: first byte in the file, first byte there, bytes; whole pages. */
  readonly pieces: readonly Piece[];
  /** The leaf that holds a byte of the file, and where. */
  readonly leaf: (offset: number) => { readonly device: SimulatedDevice; readonly offset: number };
  readonly setContent: (bytes: Uint8Array) => void;
}

/** One piece for a file that is one run from a place on. */
export function oneRun(size: number, device: number): readonly Piece[] {
  return [{ file: 0, device, length: Math.ceil(size / PAGE) * PAGE }];
}

/** The hands over a file. */
export function openedOn({ device, file, pieces, leaf, setContent }: Standing): Opened {
  return {
    file,
    setContent,
    poison: (first, count) => {
      for (let sector = first; sector < first + count; sector += 1) {
        const place = leaf(sector * 512);
        place.device.inject({ offset: place.offset, length: 512 });
      }
    },
    listAfter: () => listOf(device, pieces),
  };
}

function listOf(device: Device, pieces: readonly Piece[]): ListAfter {
  const badblocks: [number, number][] = [];
  const lost = new Set<number>();
  for (const piece of pieces) {
    const length = Math.min(piece.length, device.size - piece.device);
    for (const bad of device.poison.bad({ offset: piece.device, length })) {
      const at = bad.offset - piece.device + piece.file;
      const first = Math.floor(at / 512);
      const end = Math.ceil((at + bad.length) / 512);
      for (let sector = first; bad.state === "lost" && sector < end; sector += 1) lost.add(sector);
      const last = badblocks.at(-1);
      if (last !== undefined && last[0] + last[1] >= first) last[1] = end - last[0];
      else badblocks.push([first, end - first]);
    }
  }
  return { badblocks, lost };
}
