/** openImage(): what an IMAGE argument names: an NBD export where it is a URI of one, a stack where its name ends in `.stack`, else an image. */
import { StorageError, type MaybePromise } from "../base/index.ts";
import {
  isNbdUri,
  nbdSize,
  openDevice,
  openNbd,
  type ManagedDevice,
  type OpenDeviceOptions,
} from "../device/index.ts";
import { nodeFiles, type HostFiles } from "../os/index.ts";

/** Whether a path names a stack. */
export function isStackPath(path: string): boolean {
  return path.endsWith(".stack");
}

/** Opens an image, a stack or an export. @throws {StorageError} as `openDevice`, `openStack` and `openNbd` */
export function openImage(
  path: string,
  options: OpenDeviceOptions = {},
): MaybePromise<ManagedDevice> {
  if (isNbdUri(path)) return openNbd(path, options);
  return isStackPath(path) ? openTop(path, options) : openDevice(path, options);
}

/** What stacks need is loaded with the first of them: it is half of all code, and most images are none. */
async function openTop(path: string, options: OpenDeviceOptions): Promise<ManagedDevice> {
  const { openStack } = await import("./open-stack.ts");
  return (await openStack(path, options)).device;
}

async function topSize(path: string, files: HostFiles): Promise<number> {
  const { stackSize } = await import("./open-stack.ts");
  return stackSize(path, files);
}

/** Bytes of what a path names, without opening the images of a stack whose text says it. @throws {StorageError} ENOENT; of a stack EBADMSG */
export function imageSize(path: string, files: HostFiles = nodeFiles): MaybePromise<number> {
  if (isNbdUri(path)) return nbdSize(path);
  const info = files.info(path);
  if (info === undefined) {
    throw new StorageError("ENOENT", `Cannot open ${path}: there is no such file`, {
      path,
      syscall: "open",
    });
  }
  return isStackPath(path) ? topSize(path, files) : info.size;
}
