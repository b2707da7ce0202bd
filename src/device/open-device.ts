/**
 * open-device: the device of an image: with a sidecar a simulated one, without one a plain file.
 *
 * The sidecar wins over a list that is given: that one is taken only for bytes that the sidecar calls unread, so it never brings
 * back what was healed since. A plain image gets a sidecar when a list is given to a session that writes, or when the first change of
 * the list must be remembered.
 */
import { StorageError, type Clock } from "../base/index.ts";
import { blockNodeOf, mapFile, nodeFiles, type HostFile, type HostFiles } from "../os/index.ts";
import {
  createPoisonStore,
  openPoisonStore,
  sidecarPath,
  type CreateStoreOptions,
  type PoisonStore,
  type StateRange,
} from "../poison/index.ts";
import type { Capabilities } from "./device.ts";
import { FileMedia } from "./file-media.ts";
import { capabilitiesOf, checkSettings, settingsOf, type ImageSettings } from "./image-settings.ts";
import { blockStatePath } from "./live-state.ts";
import { markedMedia } from "./marked-media.ts";
import { MediaDevice } from "./media-device.ts";
import { makeStateDirectory } from "./nbd/remembered-list.ts";
import { SimulatedDevice } from "./simulated-device.ts";

/** How an image is opened. */
export interface OpenDeviceOptions {
  /** "write" takes the image's lock alone. @default "read" */
  readonly access?: "read" | "write";
  /** What a list that came with the image says, of a sidecar's unread bytes. @default nothing */
  readonly poison?: Iterable<StateRange>;
  /** @default the machine's */
  readonly files?: HostFiles;
  /** Clock of slow zones. @default the machine's */
  readonly clock?: Clock;
  /** Whether to map the image for direct access, where that can be done. @default false */
  readonly map?: boolean;
}

/** What an image that is there is made a simulated one with. */
export interface AdoptImageOptions extends Partial<ImageSettings> {
  /** @default the machine's */
  readonly files?: HostFiles;
  /** @default the machine's */
  readonly clock?: Clock;
}

/** What a new image is made with. */
export interface CreateImageOptions extends AdoptImageOptions {
  /** Bytes; a multiple of the clear unit. */
  readonly size: number;
}

/**
 * Opens an image.
 *
 * @throws {StorageError} what is missing, locked, damaged, or of another image; what keeps an open intent from being settled
 */
export function openDevice(path: string, options: OpenDeviceOptions = {}): MediaDevice {
  const { access = "read", files = nodeFiles } = options;
  const isWriting = access === "write";
  const file = files.open(path, {
    access,
    lock: isWriting ? "exclusive" : "shared",
    // A device of this machine is nobody else's while it is written: not mounted, not a part of another one.
    ...(isWriting && isBlock(path, files) ? { alone: true } : {}),
  });
  let store: PoisonStore | undefined;
  try {
    const sidecar = sidecarOf(path, files);
    const size = file.size();
    if (files.info(sidecar) !== undefined)
      store = openPoisonStore(files, { path: sidecar, size, access });
    const opened = { file, files, size, store, options };
    const device = isSimulated(store) ? openSimulated(opened) : openPlain(opened);
    takeList(device, options.poison ?? [], access);
    return device;
  } catch (error) {
    abandon(file, store);
    throw error;
  }
}

function isBlock(path: string, files: HostFiles): boolean {
  return files.info(path)?.kind === "block";
}

/**
 * The list stands beside the image itself, whatever links lead to it: under another name it must not look clean. Of a block device of this machine it is
 * in the state directory.
 */
function sidecarOf(path: string, files: HostFiles): string {
  const node = isBlock(path, files) ? blockNodeOf(path) : undefined;
  if (node !== undefined) {
    makeStateDirectory();
    return blockStatePath(node);
  }
  return sidecarPath(files.real?.(path) ?? path);
}

/** Closes what an opening that failed has open; only the first failure is told. */
function abandon(file: HostFile, store: PoisonStore | undefined): void {
  try {
    store?.close();
  } catch {
    // It failed already, or it would not be abandoned.
  }
  file.close();
}

interface Opened {
  readonly file: HostFile;
  readonly files: HostFiles;
  readonly size: number;
  readonly store: PoisonStore | undefined;
  readonly options: OpenDeviceOptions;
}

function isSimulated(store: PoisonStore | undefined): boolean {
  return store?.settings["kind"] === "simulated";
}

/** A plain file: any write heals, and the smallest unit is a byte, because the list is all that is known of it. */
function plainCapabilities(readOnly: boolean): Capabilities {
  return {
    poisonUnit: 1,
    clearUnit: 1,
    pageSize: 4096,
    clear: "overwrite",
    listsErrors: false,
    failedRead: "costly",
    mediated: false,
    readOnly,
    recovers: true,
  };
}

function openPlain({ file, files, size, store, options }: Opened): MediaDevice {
  const readOnly = options.access !== "write";
  const mapping = options.map === true ? mapFile(file, { writable: !readOnly }) : undefined;
  const media = markedMedia(
    new FileMedia(file, { size, capabilities: plainCapabilities(readOnly), mapping }),
    { loads: store === undefined },
  );
  const path = sidecarOf(file.path, files);
  const settings = { kind: "plain" };
  return new MediaDevice(media, {
    store,
    createStore: () => createPoisonStore(files, { path, size, settings }),
  });
}

function openSimulated({ file, size, store, options }: Opened): SimulatedDevice {
  if (store === undefined)
    throw new StorageError("EBADMSG", `Cannot open ${file.path}: it has no list`);
  const readOnly = options.access !== "write";
  const settings = settingsOf(store, file.path);
  const mapping = options.map === true ? mapFile(file, { writable: !readOnly }) : undefined;
  // The list may be that of another image: what is marked is gone, whatever it says.
  const media = markedMedia(
    new FileMedia(file, { size, capabilities: capabilitiesOf(settings, readOnly), mapping }),
    { loads: false },
  );
  const { clock } = options;
  return new SimulatedDevice(media, {
    store,
    slowMs: settings.slowMs,
    ...(clock === undefined ? {} : { clock }),
  });
}

/** Gives a device the list that came with it: for what its own list calls unread; remembered where the session writes. */
export function takeList(
  device: MediaDevice,
  list: Iterable<StateRange>,
  access: "read" | "write",
): void {
  const given = [...list].filter((range) => range.state !== "unread");
  const { total, unread } = device.poison.totals();
  // A device that knows nothing yet takes the list as it is: thousands of look-ups would find the same.
  const changes =
    unread === total && given.every((range) => range.offset + range.length <= total)
      ? given
      : given.flatMap((range) =>
          [...device.poison.states(range)]
            .filter((part) => part.state === "unread")
            .map((part) => ({ offset: part.offset, length: part.length, state: range.state })),
        );
  device.takeList(changes, { remember: access === "write" && changes.length > 0 });
}

/**
 * Makes an image of zeros that fails as the settings say, with its sidecar, and opens it for writing. Every byte is unread: nobody has
 * read it, and latent poison may be put under it at once.
 *
 * @throws {StorageError} EEXIST if the image or its sidecar is there already; ENOSPC
 * @throws {RangeError} if a unit is not a power of two, or they do not fit each other
 */
export function createImage(path: string, options: CreateImageOptions): SimulatedDevice {
  const { size, files = nodeFiles } = options;
  const settings = checkSettings(options, size);
  if (files.info(sidecarPath(path)) !== undefined) throw sidecarThere(path);
  const file = files.open(path, { access: "create", lock: "exclusive" });
  try {
    file.truncate(size);
    file.sync();
    // The image's name first: a sidecar without its image would only be in the way.
    files.syncDirectoryOf(path);
    return simulate(file, settings, options);
  } catch (error) {
    file.close();
    files.remove(path);
    throw error;
  }
}

/**
 * Gives an image that has none a sidecar, so that it fails as the settings say from now on, and opens it for writing. No byte of it
 * changes; every byte is unread.
 *
 * @throws {StorageError} ENOENT, EBUSY; EEXIST if it has a sidecar already
 * @throws {RangeError} if units do not fit each other or the image
 */
export function adoptImage(path: string, options: AdoptImageOptions = {}): SimulatedDevice {
  const { files = nodeFiles } = options;
  if (files.info(sidecarOf(path, files)) !== undefined) throw sidecarThere(path);
  const file = files.open(path, { access: "write", lock: "exclusive" });
  try {
    return simulate(file, checkSettings(options, file.size()), options);
  } catch (error) {
    file.close();
    throw error;
  }
}

function sidecarThere(path: string): StorageError {
  const sidecar = sidecarPath(path);
  return new StorageError("EEXIST", `Cannot create ${sidecar}: it is there already`, {
    syscall: "open",
    path: sidecar,
  });
}

/** A new sidecar; one whose name could not be made durable is taken away again, so that nothing stands in the way of a second try. */
function createSidecar(files: HostFiles, options: CreateStoreOptions): PoisonStore {
  try {
    return createPoisonStore(files, options);
  } catch (error) {
    if (!(error instanceof StorageError && error.code === "EEXIST")) files.remove(options.path);
    throw error;
  }
}

function simulate(
  file: HostFile,
  settings: ImageSettings,
  options: AdoptImageOptions,
): SimulatedDevice {
  const { files = nodeFiles, clock } = options;
  const size = file.size();
  const path = sidecarOf(file.path, files);
  const store = createSidecar(files, { path, size, settings: { kind: "simulated", ...settings } });
  const media = markedMedia(
    new FileMedia(file, { size, capabilities: capabilitiesOf(settings, false) }),
    { loads: false },
  );
  return new SimulatedDevice(media, {
    store,
    slowMs: settings.slowMs,
    ...(clock === undefined ? {} : { clock }),
  });
}
