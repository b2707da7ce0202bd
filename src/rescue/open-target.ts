/**
 * openTarget: a path becomes a device, its partitions, and the maps of the file systems on them.
 *
 * Nothing is guessed: where a table is broken, the space that it may describe is a volume without a map, with the reason, and
 * never "unpartitioned"; where the first sector cannot be read, a file system at the start of the disk is looked for before a
 * backup of a table is believed.
 */
import { endOf, RangeSet, StorageError, type ByteRange } from "../base/index.ts";
import type { Device, ManagedDevice } from "../device/index.ts";
import { openFileMap } from "../fs/index.ts";
import {
  imageSize,
  openImage,
  readPartitionTable,
  type PartitionLayout,
  type PartitionTable,
} from "../mapper/index.ts";
import { nodeFiles } from "../os/index.ts";
import { parsePoisonText, type ParsedList, type StateRange } from "../poison/index.ts";
import { holesOfOutput } from "./donor-map.ts";
import type { Target, TargetOptions, Volume } from "./target.ts";

/** Bytes of a list that are read at most: a list of ten million ranges has some 200 MiB. */
const LIST_MAX = 400 * 1024 * 1024;

/**
 * Opens a target: an image, a whole disk, one file system, or a stack that is one of these.
 *
 * @throws {StorageError} ENOENT, EACCES, EISDIR of the path; EBUSY where another process holds it; EBADMSG where it is empty, or its list
 *   is none; whatever the device says
 */
export async function openTarget(path: string, options: TargetOptions = {}): Promise<Target> {
  const { access = "read", poison, map = false } = options;
  const list = await listFor(path, poison);
  const device = await openImage(path, {
    access,
    map,
    ...(list === undefined ? {} : { poison: list.ranges }),
  });
  try {
    if (device.size === 0) {
      throw new StorageError("EBADMSG", `Cannot open ${path}: it is empty`, {
        path,
        syscall: "open",
      });
    }
    return await describeTarget(device, { path, notes: list?.notes ?? [] });
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** What `describeTarget` is told beside the device. */
export interface DescribeOptions {
  /** As the user gave it. */
  readonly path: string;
  /** Notes that the target begins with. @default none */
  readonly notes?: readonly string[];
}

/**
 * Finds what is on an open device; `close` of the target closes it.
 *
 * @throws {StorageError} if the device itself fails
 */
export async function describeTarget(
  device: ManagedDevice,
  options: DescribeOptions,
): Promise<Target> {
  const layout = await readPartitionTable(device);
  const found = await findVolumes(device, layout);
  const cut = found.volumes.flatMap(({ map, length, name }) =>
    map === undefined || map.size <= length
      ? []
      : [
          `${name || "The image"} is cut off: its file system has ${map.size} bytes, and ${length} are there`,
        ],
  );
  const problems = layout.problems.map(({ message }) => message);
  return {
    path: options.path,
    device,
    volumes: found.volumes,
    outside: found.outside,
    notes: [...(options.notes ?? []), ...problems, ...cut],
    close: async () => device.close(),
  };
}

/**
 * Reads a list of bad ranges in any of the texts.
 *
 * @param size bytes of the device that it is for
 * @throws {StorageError} ENOENT and its kin of the file; EBADMSG with the place where it is wrong
 */
export async function readPoisonList(path: string, size: number): Promise<ParsedList> {
  const file = nodeFiles.open(path);
  try {
    const length = file.size();
    if (length > LIST_MAX) {
      throw new StorageError(
        "EBADMSG",
        `Cannot read list ${path}: want at most ${LIST_MAX} bytes: got ${length}`,
        { path },
      );
    }
    const bytes = new Uint8Array(length);
    const count = await file.read(bytes, 0);
    return await parsePoisonText(new TextDecoder().decode(bytes.subarray(0, count)), {
      size,
      name: path,
    });
  } finally {
    file.close();
  }
}

/** The same for a target that is not open yet: its size is looked up. */
export async function readPoisonListFor(path: string, list: string): Promise<ParsedList> {
  return readPoisonList(list, await imageSize(path));
}

/** A list that came with a target. */
export interface GivenList {
  readonly ranges: readonly StateRange[];
  /** What it leaves open, and where it is from. */
  readonly notes: readonly string[];
}

/**
 * The list of a target that is not open yet: the text that is named; else, of a salvage's output, what its map says (donor-map.ts), because its holes read as zeros (R1).
 *
 * @returns `undefined` where there is none
 * @throws {StorageError} as `readPoisonList`
 */
export async function listFor(
  path: string,
  poison: string | undefined,
): Promise<GivenList | undefined> {
  if (poison === undefined) {
    const holes = holesOfOutput(path);
    return holes && { ranges: holes.ranges, notes: [holes.note] };
  }
  const { ranges, notes, incomplete } = await readPoisonListFor(path, poison);
  const more = incomplete ? [`List ${poison} is not whole: more may be bad than it names`] : [];
  return { ranges, notes: [...notes, ...more] };
}

/** The volumes of a device that is only read from: of a donor. @throws {StorageError} if the device itself fails */
export async function volumesOn(device: Device): Promise<readonly Volume[]> {
  return (await findVolumes(device, await readPartitionTable(device))).volumes;
}

type Found = Pick<Target, "volumes" | "outside">;

async function findVolumes(device: Device, layout: PartitionLayout): Promise<Found> {
  const { table, certain } = layout;
  const whole = { name: "", offset: 0, length: device.size };
  // a primary GPT stands where an ext4 superblock would: the one that is whole rules the other out
  if (table !== undefined && (certain || table.source !== "backup"))
    return partitioned(device, table);
  const single = await openVolume(device, whole);
  if (table === undefined || single.map !== undefined) return { volumes: [single], outside: [] };
  return partitioned(device, table);
}

async function partitioned(device: Device, table: PartitionTable): Promise<Found> {
  const volumes: Volume[] = [];
  for (const { index, offset, length } of table.partitions) {
    volumes.push(await openVolume(device, { name: `partition ${index}`, offset, length }));
  }
  const described = RangeSet.from([...table.occupied, ...table.partitions]);
  const rest = [...described.gaps(0, device.size)];
  const outside: Target["outside"][number][] = table.occupied.map(({ offset, length }) => ({
    offset,
    length,
    what: "partition-table",
  }));
  for (const { offset, length } of rest) {
    if (table.complete) outside.push({ offset, length, what: "unpartitioned" });
    else volumes.push(unknownVolume({ offset, length }));
  }
  const ascending = (one: ByteRange, other: ByteRange): number => one.offset - other.offset;
  return { volumes: volumes.sort(ascending), outside: outside.sort(ascending) };
}

/** Space that a partition may own which the table cannot tell. */
function unknownVolume({ offset, length }: ByteRange): Volume {
  const why =
    "The partition table is not whole: this space may belong to a partition that it does not tell";
  return {
    name: `unknown at ${offset} to ${endOf({ offset, length })}`,
    offset,
    length,
    map: undefined,
    why,
  };
}

async function openVolume(
  device: Device,
  place: ByteRange & { readonly name: string },
): Promise<Volume> {
  const { name, offset, length } = place;
  try {
    const map = await openFileMap(device, { offset, length });
    return { name, offset, length, map, why: undefined };
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== "EBADMSG") throw error;
    return { name, offset, length, map: undefined, why: error.message.replace(/^EBADMSG: /, "") };
  }
}
