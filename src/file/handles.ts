/** Handles: an open file whose every call carries RWF_RECOVERY_DATA, or whose every call gives up at once. */
import type { File } from "./file.ts";

/**
 * A handle whose every call carries RWF_RECOVERY_DATA: for programs that cannot pass flags (the `recoveryfd` of the thread of 2021).
 * Its position is its own.
 */
export function recoveryHandle(file: File): File {
  return file.handle("recovery");
}

/**
 * A handle whose every call is one plain attempt, because the caller has a replica: a read stops at the first bad byte and tries nothing
 * again, a write to a bad range fails and heals nothing. RWF_RECOVERY_DATA on it is EINVAL.
 */
export function failFastHandle(file: File): File {
  return file.handle("failFast");
}
