/**
 * segment-device: a segment of memory that several systems share, most often read-only, as s390's dcssblk offers it: direct access, and no
 * recovery.
 */
import { mapFile, nodeFiles, type HostFiles } from "../os/index.ts";
import { FileMedia } from "./file-media.ts";
import { MemoryMedia } from "./memory-media.ts";
import { NoRecoveryDevice, noRecoveryCapabilities } from "./no-recovery-device.ts";

/** How a segment is opened. */
export interface OpenSegmentOptions {
  /** "read" shares it with others; "write" holds it alone (an exclusive-writable segment). @default "read" */
  readonly access?: "read" | "write";
  /** @default the machine's */
  readonly files?: HostFiles;
}

/** Opens a file as a segment; mapped where the machine can. @throws {StorageError} what is missing, locked, no file */
export function openSegment(path: string, options: OpenSegmentOptions = {}): NoRecoveryDevice {
  const { access = "read", files = nodeFiles } = options;
  const file = files.open(path, { access, lock: access === "write" ? "exclusive" : "shared" });
  try {
    const readOnly = access !== "write";
    const mapping = mapFile(file, { writable: !readOnly });
    const capabilities = noRecoveryCapabilities(readOnly);
    return new NoRecoveryDevice(new FileMedia(file, { size: file.size(), capabilities, mapping }));
  } catch (error) {
    file.close();
    throw error;
  }
}

/** A segment in this process' memory. The bytes are not copied. */
export function createSegment(
  bytes: Uint8Array,
  options: { readonly name?: string; readonly readOnly?: boolean } = {},
): NoRecoveryDevice {
  const { name = "segment", readOnly = false } = options;
  const capabilities = noRecoveryCapabilities(readOnly);
  return new NoRecoveryDevice(new MemoryMedia(bytes, { name, capabilities }));
}
