/**
 * FileLease: a write lease on an open file (F_SETLEASE): while it is held nobody else has the file open, and whoever tries waits.
 *
 * Who tries to open the file begins to break the lease: `isHeld` is false from then on, and the kernel waits
 * /proc/sys/fs/lease-break-time seconds (45) before it takes the lease away. The signal that tells of it is SIGURG here, which nobody minds: SIGIO
 * would end the process.
 */
import { StorageError } from "../base/index.ts";
import { native } from "./native.ts";

const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_GETLEASE = 1025;
const F_WRLCK = 1;
const F_UNLCK = 2;
const SIGURG = 23;
const EACCES = 13;
const EAGAIN = 11;

/** A lease that was taken. */
export interface FileLease {
  /** Whether nobody has the file, and nobody waits for it. */
  readonly isHeld: boolean;
  /** Gives it back: who waits for the file gets it. Twice is allowed. */
  end(): void;
}

/**
 * Takes a write lease.
 *
 * @throws {StorageError} EBUSY where another open file has it; EPERM where neither the file is ours nor CAP_LEASE; EOPNOTSUPP where the file
 *   system gives none, or koffi cannot load
 */
export function takeLease(file: { readonly fd: number; readonly path: string }): FileLease {
  const { fd, path } = file;
  const calls = native();
  const fail = (code: "EBUSY" | "EPERM" | "EOPNOTSUPP", why: string): never => {
    throw new StorageError(code, `Cannot take ${path} for ourselves: ${why}`, {
      path,
      syscall: "F_SETLEASE",
    });
  };
  if (calls === undefined) return fail("EOPNOTSUPP", "the native library (koffi) cannot be loaded");
  calls.fcntl(fd, F_SETSIG, SIGURG);
  if (calls.fcntl(fd, F_SETLEASE, F_WRLCK) !== 0) {
    const errno = calls.errno();
    if (errno === EAGAIN)
      return fail(
        "EBUSY",
        "another program has it open (fuser -v names it): end it, then try again",
      );
    if (errno === EACCES)
      return fail("EPERM", "a lease needs the file's owner, or the capability CAP_LEASE");
    return fail("EOPNOTSUPP", `its file system gives no lease (errno ${errno})`);
  }
  let isOver = false;
  return {
    get isHeld() {
      return !isOver && calls.fcntl(fd, F_GETLEASE, 0) === F_WRLCK;
    },
    end() {
      if (isOver) return;
      isOver = true;
      calls.fcntl(fd, F_SETLEASE, F_UNLCK);
    },
  };
}
