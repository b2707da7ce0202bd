/**
 * SalvageSource: what is salvaged: a whole target, or one file of it. Both answer the same three questions: what is known bad,
 * what are the bytes, and what is their name.
 */
import {
  RangeSet,
  SECTOR,
  StorageError,
  type ByteRange,
  type MaybePromise,
} from "../../base/index.ts";
import { VolumeFile } from "../../donor/index.ts";
import { LiveDevice, type ManagedDevice, type ReadResult } from "../../device/index.ts";
import { READ_SIZE, readAndRecord } from "../scan.ts";
import { sourceOf } from "../plan/planner.ts";
import type { Target } from "../target.ts";
import type { Attempts } from "./prober.ts";

/** Something that is copied out. Offsets are its own: of the target, or of the file. */
export interface SalvageSource {
  readonly size: number;
  /** What names it for sure, in words: see `SalvageIdentity`. */
  readonly names: Readonly<Record<string, string>>;
  /** Ranges that are known bad, ascending: they are not read. */
  bad(): MaybePromise<readonly ByteRange[]>;
  read(into: Uint8Array, offset: number): MaybePromise<ReadResult>;
  /** Bytes from `offset` on that are a hole and none of them bad: zeros that need not be read. @default 0 */
  holeFrom?(offset: number): number;
  /** Bytes of a range lent without a copy, where they are mapped and all of them data. @default `read` gives them */
  borrow?(range: ByteRange): Promise<Uint8Array | undefined>;
  /** Told of everything that came whole. */
  came(range: ByteRange): void;
  /** Told of what is bad by itself, where nobody knew it. @default nobody is */
  missed?(range: ByteRange): void;
  /** The source read an attempt at a time, where it can be. */
  readonly attempts?: Attempts;
  /** What a failed attempt costs, where the source is a live one; its reads are then decided by a policy. @default it is an image */
  readonly failure?: LiveDevice["failure"];
}

/** The whole target. What its reads find bad that no list names is put on its list. */
export function wholeTarget(target: Target): SalvageSource {
  const { device } = target;
  const uuids = target.volumes.flatMap(({ map, name }) =>
    map === undefined
      ? []
      : [[`UUID of ${name === "" ? "its file system" : name}`, map.uuid] as const],
  );
  const { uuid } = device.identity;
  return {
    size: device.size,
    names: {
      ...(uuid === undefined ? {} : { "device UUID": uuid }),
      ...(device instanceof LiveDevice ? device.names : {}),
      ...Object.fromEntries(uuids),
    },
    bad: () => [...device.poison.bad({ offset: 0, length: device.size })],
    read: async (into, offset) => await readAndRecord(target, into, offset),
    borrow: async (range) => device.borrow?.(range),
    holeFrom: (offset) => device.holeFrom?.(offset) ?? 0,
    came: (range) => device.recordRead(range),
    ...(device instanceof LiveDevice
      ? {
          attempts: device,
          failure: device.failure,
          missed: (range: ByteRange) => device.recordBad(range, "poisoned"),
        }
      : { attempts: attemptsOf(device) }),
  };
}

/** An image read by attempts, for a policy that somebody asks for. */
function attemptsOf(device: ManagedDevice): Attempts {
  return {
    unit: Math.max(SECTOR, device.capabilities.poisonUnit),
    largest: READ_SIZE,
    attempt: async (into, offset) => {
      const { missing } = await device.read(into, offset, "failFast");
      return missing.length === 0 ? "data" : "failed";
    },
  };
}

/**
 * One file of the target's file systems, by its path; the first volume that has it.
 *
 * @throws {StorageError} ENOENT, EISDIR, or EOPNOTSUPP where its content is not plain bytes
 */
export async function fileOfTarget(target: Target, path: string): Promise<SalvageSource> {
  for (const index of target.volumes.keys()) {
    const volume = sourceOf(target, index);
    const inode = await volume?.map.lookup(path);
    if (volume === undefined || inode === undefined) continue;
    const info = await volume.map.info(inode);
    if (info === undefined)
      throw new StorageError("EIO", `Cannot salvage "${path}": inode ${inode} cannot be read`, {
        path,
      });
    if (info.kind === "directory")
      throw new StorageError("EISDIR", `Cannot salvage "${path}": it is a directory`, { path });
    if (info.kind !== "file")
      throw new StorageError(
        "EOPNOTSUPP",
        `Cannot salvage "${path}": it is a ${info.kind}, not a file`,
        { path },
      );
    if (info.encrypted)
      throw new StorageError("EOPNOTSUPP", `Cannot salvage "${path}": its content is encrypted`, {
        path,
      });
    const file = new VolumeFile(volume, info, path);
    const names = {
      "file system UUID": volume.map.uuid,
      path,
      inode: `${inode} generation ${info.generation}`,
      time: String(info.modifiedNs),
    };
    return {
      size: info.size,
      names,
      bad: () => badOfFile(file),
      read: (into, offset) => file.read(into, offset),
      came: () => undefined,
    };
  }
  throw new StorageError(
    "ENOENT",
    `Cannot salvage "${path}": no file system of "${target.path}" has it`,
    { path },
  );
}

/** The parts of a file that are known bad, or whose place is unknown. */
async function badOfFile(file: VolumeFile): Promise<readonly ByteRange[]> {
  const bad = new RangeSet();
  for (const extent of await file.extents({ offset: 0, length: file.size })) {
    if (extent.kind === "unknown") bad.add(extent.offset, extent.length);
    for (const range of file.badIn(extent)) bad.add(range.offset, range.length);
  }
  return [...bad];
}
