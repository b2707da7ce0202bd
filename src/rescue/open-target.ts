/**
 * openTarget: a path becomes a target: an image or stack with the list that belongs to it, a block device of this machine, or a file on one.
 */
import { StorageError } from "../base/index.ts";
import { isNbdUri } from "../device/index.ts";
import { imageSize, isStackPath, openImage } from "../mapper/index.ts";
import { blockNodeOf, nodeFiles } from "../os/index.ts";
import { parsePoisonText, type ParsedList, type StateRange } from "../poison/index.ts";
import { describeTarget } from "./describe-target.ts";
import { holesOfOutput } from "./donor-map.ts";
import { listsDamageIn, mayBeLive } from "./live/live-file.ts";
import type { Target, TargetOptions } from "./target.ts";

/** Bytes of a list that are read at most: a list of ten million ranges has some 200 MiB. */
const LIST_MAX = 400 * 1024 * 1024;

/**
 * Opens a target: an image, a whole disk, one file system, or a stack that is one of these; a block device of this machine; a file of a mounted
 * file system, where that is asked for, or the kernel lists bad bytes in it, or keeps a list and no file system is in the file.
 *
 * @throws {StorageError} ENOENT, EACCES, EISDIR of the path; EBUSY where another process holds it; EBADMSG where it is empty, or its list
 *   is none; whatever the device says
 */
export async function openTarget(path: string, options: TargetOptions = {}): Promise<Target> {
  const { poison } = options;
  const list = await listFor(path, poison);
  const notes = list?.notes ?? [];
  const isPath = !isNbdUri(path) && !isStackPath(path);
  const isBlock = isPath && nodeFiles.info(path)?.kind === "block";
  const isLive = options.live ?? (isPath && !isBlock && (await isLiveFile(path, options)));
  if (isBlock || isLive) return await openLive(path, { ...options, isBlock, list, notes });
  return await openImageTarget(path, { ...options, list, notes });
}

/** Whether a file's own bytes are the matter: bad ones are listed in it, or a list is kept and no file system is in the file. */
async function isLiveFile(path: string, options: TargetOptions): Promise<boolean> {
  if (listsDamageIn(path, options.system)) return true;
  if (!mayBeLive(path, options.system)) return false;
  const image = await openImageTarget(path, { list: undefined, notes: [] });
  const isKnown = image.volumes.some(({ map }) => map !== undefined) || image.outside.length > 0;
  await image.close();
  return !isKnown;
}

interface OpenParts extends TargetOptions {
  readonly list: GivenList | undefined;
  readonly notes: readonly string[];
}

async function openImageTarget(path: string, options: OpenParts): Promise<Target> {
  const { access = "read", map = false, list, notes } = options;
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
    return await describeTarget(device, { path, notes });
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** What only a live target needs is loaded with the first of them. */
async function openLive(
  path: string,
  options: OpenParts & { readonly isBlock: boolean },
): Promise<Target> {
  const { access = "read", list, notes, system = {}, isBlock } = options;
  const given = list?.ranges ?? [];
  const how = { access, system, given, notes };
  if (!isBlock) return (await import("./live/open-live-file.ts")).openLiveFileTarget(path, how);
  const { openLiveBlock } = await import("./live/open-live-block.ts");
  const node = blockNodeOf(path, system);
  if (node === undefined) return await openLiveBlock(path, how);
  const { programList } = await import("./lists/device-lists.ts");
  const told = await programList(node, system);
  const more = told.ranges.map((range) => ({ ...range, state: "poisoned" }) as const);
  return await openLiveBlock(path, {
    ...how,
    given: [...given, ...more],
    notes: [...notes, ...told.notes],
  });
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
