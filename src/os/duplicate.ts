/** duplicateDescriptor(): a second descriptor of an open file or socket (dup(2)), whose end is the caller's. */
import { native } from "./native.ts";

/** @returns the new descriptor, or `undefined` where the system gives none or koffi cannot load */
export function duplicateDescriptor(fd: number): number | undefined {
  const duplicate = native()?.dup(fd) ?? -1;
  return duplicate < 0 ? undefined : duplicate;
}
