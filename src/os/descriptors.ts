/** descriptors: what Node does not do with an open file or socket: a second descriptor of it (dup(2)), and a larger buffer. */
import { native } from "./native.ts";

/** Two replies of the size that copying clients ask for, in bytes. */
const SEND_BUFFER_BYTES = 512 * 1024;

/** A second descriptor, whose end is the caller's. @returns it, or `undefined` where the system gives none or koffi cannot load */
export function duplicateDescriptor(fd: number): number | undefined {
  const duplicate = native()?.dup(fd) ?? -1;
  return duplicate < 0 ? undefined : duplicate;
}

/** Asks the system for more room for what a socket has not delivered yet (SO_SNDBUF); it takes what its limit allows, or nothing. */
export function enlargeSendBuffer(fd: number): void {
  native()?.setSendBuffer(fd, SEND_BUFFER_BYTES);
}
