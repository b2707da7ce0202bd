/**
 * openLiveFile: one file of a mounted file system as a target.
 *
 * What can go wrong: a program writes the file meanwhile, so a write lease is held from here to the end, and asked before every write; the kernel's extents are
 * not where the bytes are (a stack that nobody knew of), so clean bytes beside the damage must be the same through the file and on the device;
 * blocks move, so the extents are asked again before each batch and at the end (R8).
 */
import { statfsSync } from "node:fs";
import {
  intersect,
  PAGE,
  RangeSet,
  roundUp,
  StorageError,
  type ByteRange,
} from "../../base/index.ts";
import {
  fileStatePath,
  LiveMedia,
  MediaDevice,
  openLiveState,
  reshape,
  shapeKeeper,
} from "../../device/index.ts";
import {
  inFile,
  MountedMap,
  mountedPlace,
  onDevice,
  type MountedFacts,
  type MountedPlace,
} from "../../fs/index.ts";
import {
  askedOnce,
  missingCapability,
  openDirectFile,
  type DirectFile,
  type FileExtent,
  type FileLease,
} from "../../os/index.ts";
import { kernelList } from "../../poison/index.ts";
import type { Target } from "../target.ts";
import { liveCapabilities } from "./live-capabilities.ts";
import { takeLiveList } from "./live-list.ts";
import type { OpenLiveOptions } from "./open-live-block.ts";
import { confirmPlaces, openBelow } from "./places.ts";

/**
 * Opens a file of a mounted file system.
 *
 * @throws {StorageError} EBUSY where it is to be written and another program has it open; EPERM, EACCES naming what is missing; EOPNOTSUPP where its
 *   file system does not tell places; ECANCELED where its bytes are not where the kernel says
 */
export function openLiveFileTarget(path: string, options: OpenLiveOptions = {}): Target {
  const { access = "read", system = {} } = options;
  const place = mountedPlace(path, system);
  const file = openFor(place, access);
  let lease: FileLease | undefined;
  try {
    if (access === "write") lease = file.lease();
    return targetOf({ path, place, file, lease }, options);
  } catch (error) {
    lease?.end();
    file.close();
    throw error;
  }
}

interface Opened {
  readonly path: string;
  readonly place: MountedPlace;
  readonly file: DirectFile;
  readonly lease: FileLease | undefined;
}

function openFor(place: MountedPlace, access: "read" | "write"): DirectFile {
  try {
    return openDirectFile(place.path, { access, unit: place.node.logicalBlock });
  } catch (error) {
    throw missingCapability(error, place.path) ?? error;
  }
}

function targetOf(opened: Opened, options: OpenLiveOptions): Target {
  const { path, place, file, lease } = opened;
  const { access = "read", given = [], notes = [] } = options;
  const system = askedOnce(options.system ?? {});
  const blockSize = statfsSync(place.path).bsize;
  const unit = Math.max(PAGE, blockSize, place.node.physicalBlock);
  const { inode, bornNs } = file.stat();
  const rounded = roundUp(Math.max(file.size(), 1), unit);
  const statePath = fileStatePath(place.node, { inode, bornNs, size: rounded });
  const shapes = shapeKeeper(statePath);
  if (access === "write") putShapeBack(file, { shapes, unit });
  const facts = factsOf(file, access);
  if (facts.size === 0)
    throw new StorageError("EBADMSG", `Cannot open ${path}: it is empty`, {
      path,
      syscall: "open",
    });
  const list = kernelList(place.node, system);
  const inThisFile = (ranges: Iterable<ByteRange>): readonly ByteRange[] =>
    placed(facts.extents, { ranges, size: rounded });
  const below = openBelow(place.node);
  const map = new MountedMap({
    place,
    facts,
    blockSize,
    size: rounded,
    refusal: refusalOf(opened),
    reread: () => factsOf(file, access),
  });
  const units = { access, listsErrors: list.isListed, clearUnit: unit };
  const media = new LiveMedia({
    file,
    size: rounded,
    contentSize: facts.size,
    capabilities: liveCapabilities(place.node, units),
    listed: () => inThisFile(kernelList(place.node, system).ranges),
    mayWrite: () => checkAlone(path, lease),
    shapes,
    closed: () => lease?.end(),
    below:
      below.file === undefined
        ? undefined
        : { file: below.file, place: (range) => onDevice(facts.extents, range) },
  });
  try {
    const kernel = inThisFile(list.ranges);
    if (access === "write" && below.file !== undefined)
      confirmPlaces(path, { file, below: below.file, extents: facts.extents, bad: kernel, unit });
    const state = openLiveState(statePath, { size: rounded, access, name: place.path });
    const device = new MediaDevice(media, state);
    const more = takeLiveList({ device, media, kernel, given, access });
    const volume = { name: "", offset: 0, length: rounded, why: undefined };
    const describe = (current: MountedMap): Target => ({
      path,
      device,
      volumes: [{ ...volume, map: current }],
      outside: [],
      notes: [...notes, ...list.notes, ...below.notes, ...more],
      live: { statePath, file: place.inside, again: () => describe(map.reopen()) },
      close: async () => {
        device.close();
        await Promise.resolve();
      },
    });
    return describe(map);
  } catch (error) {
    below.file?.close();
    throw error;
  }
}

/** A write of the last page that a crash cut off left the file longer: it gets its size and times back. */
function putShapeBack(
  file: DirectFile,
  how: { readonly shapes: ReturnType<typeof shapeKeeper>; readonly unit: number },
): void {
  const left = how.shapes.left();
  if (left === undefined) return;
  const now = file.size();
  if (now >= left.size && now <= roundUp(left.size, how.unit)) reshape(file, left);
  how.shapes.end();
}

/** @param access before a write what the page cache holds is written out, so that everything has its place */
function factsOf(file: DirectFile, access: "read" | "write"): MountedFacts {
  if (access === "write") file.sync();
  const { inode, modifiedNs } = file.stat();
  return {
    inode,
    size: file.size(),
    modifiedNs,
    extents: file.extents({ sync: access === "write" }),
  };
}

/** What of ranges of the device lies in the file. */
function placed(
  extents: readonly FileExtent[],
  on: { readonly ranges: Iterable<ByteRange>; readonly size: number },
): readonly ByteRange[] {
  const found = new RangeSet();
  for (const range of on.ranges) {
    for (const part of inFile(extents, range)) {
      const inside = intersect(part, { offset: 0, length: on.size });
      if (inside !== undefined) found.add(inside.offset, inside.length);
    }
  }
  return [...found];
}

/** Why nothing of the file may be written, whatever its extents are. */
function refusalOf({ place, file }: Opened): string | undefined {
  const flags = file.flags();
  if (flags.isImmutable) return "it is immutable: chattr -i allows writes again";
  if (flags.isAppendOnly) return "it takes appended data only: chattr -a allows writes again";
  const journaled = flags.isJournaled || place.mount.options.includes("data=journal");
  if (journaled)
    return "its content goes through the journal first, so a write does not reach its blocks: chattr -j, or mount without data=journal";
  if (place.mount.type === "xfs" && flags.isRealtime)
    return "it lies on the real-time device of its file system, which is another one: replace the file as a whole from the backup";
  return undefined;
}

/** @throws {StorageError} EBUSY */
function checkAlone(path: string, lease: FileLease | undefined): void {
  if (lease?.isHeld === true) return;
  throw new StorageError(
    "EBUSY",
    `Stopped before the next write to ${path}: another program wants to open it, and the lease is given back: what was healed stays so; repair again when it is done`,
    { path, syscall: "F_SETLEASE" },
  );
}
