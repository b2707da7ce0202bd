/**
 * export: a device under a name, as clients see it.
 *
 * Every device has two faces: NAME, on whose calls Linux' block table holds, and `NAME@recovery`, where every call carries
 * `RWF_RECOVERY_DATA`: reads are alike, writes heal parts of units too. The second is there only where the device recovers.
 */
import { PAGE, type ByteRange } from "../base/index.ts";
import {
  NBD_EXPORT,
  NBD_STRING_MAX,
  RECOVERY_SUFFIX,
  type AccessMode,
  type Device,
  type DirectAccess,
  type ManagedDevice,
} from "../device/index.ts";

/** Longest payload of a request or of one reply to a simple client, in bytes: what clients assume where nobody tells them. */
export const PAYLOAD_MAX: number = 32 * 1024 * 1024;

/** What is offered to clients. */
export interface ExportOptions {
  /** What clients call it: UTF-8 of at most 4096 bytes, without NUL. */
  readonly name: string;
  readonly device: Device | ManagedDevice;
  /** For people. @default the device's own name */
  readonly description?: string;
  /** Whether writes are refused, whatever the device allows. @default as the device */
  readonly readOnly?: boolean;
  /**
   * Whether the device answers a write on the spot, and its memory may stand for a read: a device of our own over one image, without zones that
   * are slow on purpose. @default false
   */
  readonly isDirect?: () => boolean;
}

/** One face of one device. */
export interface NbdExport {
  readonly name: string;
  readonly description: string;
  readonly device: Device | ManagedDevice;
  readonly size: number;
  readonly readOnly: boolean;
  /** How hard writes try, and reads. */
  readonly mode: AccessMode & ("access" | "recovery");
  /** Block sizes in bytes: a client may use any, but does best with whole pages. */
  readonly sizes: {
    readonly minimum: number;
    readonly preferred: number;
    readonly maximum: number;
  };
  /** The mapped face, where a request may use it now. */
  direct(): DirectAccess | undefined;
  /** Bytes from `offset` on that are a hole of a sparse image. */
  holeFrom(offset: number): number;
}

/** The faces of a device. @throws {RangeError} if the name is none that the protocol can carry */
export function exportsOf(options: ExportOptions): readonly NbdExport[] {
  const { device, name } = options;
  checkName(name);
  const plain = faceOf(options, { name, mode: "access" });
  if (!device.capabilities.recovers || plain.readOnly) return [plain];
  return [plain, faceOf(options, { name: `${name}${RECOVERY_SUFFIX}`, mode: "recovery" })];
}

function checkName(name: string): void {
  if (name.includes("\0") || Buffer.byteLength(name) > NBD_STRING_MAX - RECOVERY_SUFFIX.length) {
    throw new RangeError(
      `Cannot export under this name: want UTF-8 without NUL, of at most ${NBD_STRING_MAX - RECOVERY_SUFFIX.length} bytes`,
    );
  }
  if (name.endsWith(RECOVERY_SUFFIX))
    throw new RangeError(`Cannot export "${name}": names that end in ${RECOVERY_SUFFIX} are taken`);
}

function faceOf(
  options: ExportOptions,
  { name, mode }: { readonly name: string; readonly mode: "access" | "recovery" },
): NbdExport {
  const { device, isDirect } = options;
  const about = options.description ?? device.identity.name;
  return {
    name,
    description: mode === "access" ? about : `${about}, every write heals`,
    device,
    size: device.size,
    readOnly: device.capabilities.readOnly || options.readOnly === true,
    mode,
    sizes: {
      minimum: 1,
      preferred: Math.max(PAGE, device.capabilities.pageSize),
      maximum: PAYLOAD_MAX,
    },
    direct: () => (isDirect?.() === true ? device.direct : undefined),
    holeFrom: (offset) => ("holeFrom" in device ? (device.holeFrom?.(offset) ?? 0) : 0),
  };
}

/** The transmission flags of an export. All connections see one device, and FLUSH covers all of them: CAN_MULTI_CONN is true. */
export function exportFlags(face: NbdExport, isStructured: boolean): number {
  const reading =
    NBD_EXPORT.HAS_FLAGS |
    NBD_EXPORT.CAN_MULTI_CONN |
    NBD_EXPORT.SEND_FLUSH |
    NBD_EXPORT.SEND_FUA |
    NBD_EXPORT.SEND_CACHE |
    (isStructured ? NBD_EXPORT.SEND_DF : 0);
  if (face.readOnly) return reading | NBD_EXPORT.READ_ONLY;
  return reading | NBD_EXPORT.SEND_TRIM | NBD_EXPORT.SEND_WRITE_ZEROES | NBD_EXPORT.SEND_FAST_ZERO;
}

/** Whether a request lies inside an export; a number above 2^53 never does. */
export function isInside(face: NbdExport, { offset, length }: ByteRange): boolean {
  return offset <= face.size && length <= face.size - offset;
}

/** What a server offers: found by name, and "" is the first. */
export class ExportList {
  readonly all: readonly NbdExport[];
  readonly #byName = new Map<string, NbdExport>();

  /** @throws {RangeError} if two have one name, or there is none */
  constructor(options: readonly ExportOptions[]) {
    this.all = options.flatMap((option) => exportsOf(option));
    for (const face of this.all) {
      if (this.#byName.has(face.name))
        throw new RangeError(`Cannot export two devices as "${face.name}": want names that differ`);
      this.#byName.set(face.name, face);
    }
    const [first] = this.all;
    if (first === undefined) throw new RangeError("Cannot serve nothing: want at least one export");
    if (!this.#byName.has("")) this.#byName.set("", first);
    const recovery = this.#byName.get(first.name + RECOVERY_SUFFIX);
    if (recovery !== undefined && !this.#byName.has(RECOVERY_SUFFIX))
      this.#byName.set(RECOVERY_SUFFIX, recovery);
  }

  find(name: string): NbdExport | undefined {
    return this.#byName.get(name);
  }
}
