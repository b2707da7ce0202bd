/** openImage(): what an IMAGE argument names: a stack where its name ends in `.stack`, else an image. */
import { isPromise, StorageError, type MaybePromise } from "../base/index.ts";
import { openDevice, type ManagedDevice, type OpenDeviceOptions } from "../device/index.ts";
import { nodeFiles, type HostFiles } from "../os/index.ts";
import { openStack, stackSize } from "./open-stack.ts";

/** Whether a path names a stack. */
export function isStackPath(path: string): boolean {
  return path.endsWith(".stack");
}

/** Opens an image or a stack. @throws {StorageError} as `openDevice` and `openStack` */
export function openImage(
  path: string,
  options: OpenDeviceOptions = {},
): MaybePromise<ManagedDevice> {
  if (!isStackPath(path)) return openDevice(path, options);
  const stack = openStack(path, options);
  return isPromise(stack) ? stack.then(({ device }) => device) : stack.device;
}

/** Bytes of what a path names, without opening the images of a stack whose text says it. @throws {StorageError} ENOENT; of a stack EBADMSG */
export function imageSize(path: string, files: HostFiles = nodeFiles): MaybePromise<number> {
  const info = files.info(path);
  if (info === undefined) {
    throw new StorageError("ENOENT", `Cannot open ${path}: there is no such file`, {
      path,
      syscall: "open",
    });
  }
  return isStackPath(path) ? stackSize(path, files) : info.size;
}
