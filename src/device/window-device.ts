/**
 * window-device: a window onto a part of another file or of memory, as virtio-fs gives a guest a part of the host's page cache: direct access
 * up to the window's end, and no recovery.
 */
import { checkRange, StorageError, type ByteRange, type MaybePromise } from "../base/index.ts";
import { mapFile, nodeFiles, type HostFiles } from "../os/index.ts";
import type { Capabilities } from "./device.ts";
import { FileMedia } from "./file-media.ts";
import { NO_FAULTS, type Faults, type Media, type MediaMemory } from "./media.ts";
import { MemoryMedia } from "./memory-media.ts";
import { NoRecoveryDevice, noRecoveryCapabilities } from "./no-recovery-device.ts";

/** How a window is opened. */
export interface OpenWindowOptions {
  /** @default "read" */
  readonly access?: "read" | "write";
  /** @default the machine's */
  readonly files?: HostFiles;
}

/**
 * Opens a window onto a file. The file stays its owner's: the lock is a shared one, for writing too.
 *
 * @throws {StorageError} what is missing, locked, no file; EBADMSG if the file ends before the window
 */
export function openWindow(
  path: string,
  window: ByteRange,
  options: OpenWindowOptions = {},
): NoRecoveryDevice {
  const { access = "read", files = nodeFiles } = options;
  const file = files.open(path, { access, lock: "shared" });
  try {
    const size = file.size();
    if (window.length > size - window.offset)
      throw new StorageError(
        "EBADMSG",
        `Cannot open a window onto ${path}: want it inside ${size} bytes: got offset ${window.offset}, length ${window.length}`,
        { path },
      );
    const readOnly = access !== "write";
    const mapping = mapFile(file, { writable: !readOnly });
    const capabilities = noRecoveryCapabilities(readOnly);
    return new NoRecoveryDevice(
      new WindowMedia(new FileMedia(file, { size, capabilities, mapping }), window),
    );
  } catch (error) {
    file.close();
    throw error;
  }
}

/** A window onto this process' memory. The bytes are not copied. @throws {RangeError} if it ends past them */
export function createWindow(
  bytes: Uint8Array,
  window: ByteRange,
  options: { readonly name?: string; readonly readOnly?: boolean } = {},
): NoRecoveryDevice {
  const { name = "memory", readOnly = false } = options;
  checkRange(window, bytes.length);
  const capabilities = noRecoveryCapabilities(readOnly);
  return new NoRecoveryDevice(
    new WindowMedia(new MemoryMedia(bytes, { name, capabilities }), window),
  );
}

/** A part of a medium. */
class WindowMedia implements Media {
  readonly name: string;
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly memory?: MediaMemory;
  readonly #media: Media;
  readonly #start: number;

  constructor(media: Media, window: ByteRange) {
    this.#media = media;
    this.#start = window.offset;
    this.size = window.length;
    this.name = `${media.name}[${window.offset}+${window.length}]`;
    this.capabilities = media.capabilities;
    const { memory } = media;
    const start = window.offset;
    if (memory === undefined) return;
    this.memory = {
      view: ({ offset, length }) => memory.view({ offset: start + offset, length }),
      load: (into, offset) => this.#moved(memory.load(into, start + offset)),
      store: (from, offset) => memory.store(from, start + offset),
    };
  }

  /** Faults at the window's offsets. What begins before the window begins with it. */
  #moved(faults: Faults): Faults {
    if (faults.length === 0) return NO_FAULTS;
    return faults.map(({ offset, length }) => {
      const start = Math.max(0, offset - this.#start);
      return { offset: start, length: offset + length - this.#start - start };
    });
  }

  read(into: Uint8Array, offset: number): MaybePromise<Faults> {
    const faults = this.#media.read(into, this.#start + offset);
    return faults instanceof Promise ? faults.then((all) => this.#moved(all)) : this.#moved(faults);
  }

  readSync(into: Uint8Array, offset: number): Faults {
    return this.#moved(this.#media.readSync(into, this.#start + offset));
  }

  readBack(into: Uint8Array, offset: number): Faults {
    return this.#moved(this.#media.readBack(into, this.#start + offset));
  }

  write(from: Uint8Array, offset: number): void {
    this.#media.write(from, this.#start + offset);
  }

  clear(): number {
    return 0;
  }

  flush(): void {
    this.#media.flush();
  }

  close(): void {
    this.#media.close();
  }
}
